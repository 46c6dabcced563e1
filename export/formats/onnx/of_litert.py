"""A packaged backbone as ONNX, without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.export.formats.options import Options

from . import backbone_precision

if TYPE_CHECKING:
    import onnx

    from pocketknn.export.formats.tflite.network import Network, Operation

_OPSET, _IR = 17, 8
_PIXELS = (0, 3, 1, 2)  # NHWC to NCHW
_SUMS = {"ADD": "Add", "MUL": "Mul"}


def onnx_of_litert(content: bytes, size: int | None = None) -> onnx.ModelProto:
    """The same network as an ONNX model.

    It maps `image` (batch, h, w, 3), float pixels 0..255, to `embedding` (batch, d).

    Args:
        content: a float32 TFLite file as the builder fills it, with two numbers for the pixels,
            convolutions with ReLU6 or no activation, sums, and the mean over the picture.
        size: side of the pictures; None for any.

    Raises:
        NotImplementedError: it has another operation.
    """
    from onnx import TensorProto, helper, numpy_helper

    from pocketknn.export.formats.tflite.network import Network

    made = _Translated(Network(content))
    sides = ["h", "w"] if size is None else [size, size]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *sides, 3])
    result = helper.make_tensor_value_info(growth.EMBEDDING, TensorProto.FLOAT, ["batch", made.dim])
    held = [
        numpy_helper.from_array(np.ascontiguousarray(values), name)
        for name, values in made.constants.items()
    ]
    graph = helper.make_graph(made.nodes, "backbone", [image], [result], held)
    opset = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=_IR)


def from_litert(content: bytes, size: int, path: Path, options: Options, precision: str) -> bool:
    """Write the same network, if pixels are floats and the precision is `float32` or `float16`."""
    import onnx

    if options.pixels != "float32" or precision not in ("float32", "float16"):
        return False
    made = onnx_of_litert(content, size)
    onnx.save_model(made if precision == "float32" else backbone_precision.store_halves(made), path)
    return True


class _Translated:
    """Nodes and constants; a value is named after the number of its tensor in the TFLite file."""

    def __init__(self, network: Network) -> None:
        self._network, self.dim = network, network.dim
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {
            "0": np.zeros((), "f4"),
            "6": np.full((), 6, "f4"),
        }
        self._add("Transpose", ["image"], _name(network.picture), perm=_PIXELS)
        for operation in network.operations:
            self._translate(operation)

    def _translate(self, one: Operation) -> None:
        from pocketknn.export.formats.tflite.network import CONVOLUTIONS

        kind, names, out = one.kind, [_name(number) for number in one.inputs], _name(one.output)
        result = f"{out} unbounded" if one.relu6 else out
        if kind in _SUMS:
            found = {number: self._network.constant(number) for number in one.inputs}
            self.constants |= {_name(k): v for k, v in found.items() if v is not None}
            self._add(_SUMS[kind], names, result)
        elif kind in CONVOLUTIONS:
            kernel, bias, groups = self._network.convolution(one)
            self.constants |= {names[1]: kernel, names[2]: bias}
            self._add(
                "Conv",
                names,
                result,
                auto_pad="SAME_UPPER" if one.same else "VALID",
                strides=list(one.strides),
                group=groups,
            )
        elif kind == "MEAN":
            self._add("ReduceMean", names[:1], growth.EMBEDDING, axes=[2, 3], keepdims=0)
        else:
            raise NotImplementedError(f"a LiteRT operation {kind}")
        if one.relu6:
            self._add("Clip", [result, "0", "6"], out)

    def _add(self, kind: str, inputs: list[str], output: str, **how: Any) -> None:  # noqa: ANN401
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], output, **how))


def _name(number: int) -> str:
    return f"tensor {number}"
