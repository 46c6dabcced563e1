"""A packaged backbone as ONNX: lets onnxruntime embed as LiteRT does, without TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.export.formats.tflite.model import Model

_OPSET, _IR = 17, 8
_PIXELS = (0, 3, 1, 2)  # NHWC to NCHW
# Kernels are (out, H, W, in) in LiteRT, for a depthwise convolution (1, H, W, channels).
_KERNEL = {"CONV_2D": (0, 3, 1, 2), "DEPTHWISE_CONV_2D": (3, 0, 1, 2)}
_SUMS = {"ADD": "Add", "MUL": "Mul"}


def onnx_of_litert(content: bytes) -> bytes:
    """The same network, `image` (n, h, w, 3) float pixels 0..255 to `embedding` (n, d).

    Args:
        content: a float32 TFLite file as the builder fills them: two numbers for the pixels,
            convolutions with ReLU6 or no activation, sums, and the mean over the picture.

    Raises:
        NotImplementedError: it has another operation.
    """
    from onnx import TensorProto, helper, numpy_helper

    made = _Translated(content)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", "h", "w", 3])
    result = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", made.dim])
    held = [
        numpy_helper.from_array(np.ascontiguousarray(values), name)
        for name, values in made.constants.items()
    ]
    graph = helper.make_graph(made.nodes, "backbone", [image], [result], held)
    opset = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=_IR)
    return bytes(model.SerializeToString())


class _Translated:
    """Nodes and constants; a value is named after the number of its tensor in the TFLite file."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema, self._model = schema, Model(content)
        graph = self._model.graph
        kinds = {number: kind for kind, number in vars(schema.BuiltinOperator).items()}
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {
            "0": np.zeros((), "f4"),
            "6": np.full((), 6, "f4"),
        }
        self.dim = int(graph.tensors[graph.outputs[0]].shape[-1])
        self._add("Transpose", ["image"], _name(graph.inputs[0]), perm=_PIXELS)
        for operation in graph.operators:
            self._translate(kinds[self._model.kind(operation)], operation)

    def _translate(self, kind: str, operation: Any) -> None:  # noqa: ANN401
        names, out = [_name(one) for one in operation.inputs], _name(operation.outputs[0])
        activations, options = self._schema.ActivationFunctionType, operation.builtinOptions
        activation = getattr(options, "fusedActivationFunction", activations.NONE)
        if activation not in (activations.NONE, activations.RELU6):
            raise NotImplementedError(f"a LiteRT operation {kind} with the activation {activation}")
        result = out if activation == activations.NONE else f"{out} unbounded"
        if kind in _SUMS:
            found = {one: self._numbers(one) for one in operation.inputs}
            self.constants |= {_name(k): v for k, v in found.items() if v is not None}
            self._add(_SUMS[kind], names, result)
        elif kind in _KERNEL:
            kernel, bias = (self._numbers(one) for one in operation.inputs[1:])
            assert kernel is not None  # a convolution's numbers are in the file
            assert bias is not None
            kernel = kernel.transpose(_KERNEL[kind])
            self.constants |= {names[1]: kernel, names[2]: bias}
            self._add(
                "Conv",
                names,
                result,
                auto_pad="SAME_UPPER" if options.padding == self._schema.Padding.SAME else "VALID",
                strides=[options.strideH, options.strideW],
                group=1 if kind == "CONV_2D" else len(kernel),
            )
        elif kind == "MEAN":
            self._add("ReduceMean", names[:1], "embedding", axes=[2, 3], keepdims=0)
        else:
            raise NotImplementedError(f"a LiteRT operation {kind}")
        if result != out:
            self._add("Clip", [result, "0", "6"], out)

    def _numbers(self, number: int) -> NDArray[Any] | None:
        """The values of a constant tensor; None for a computed one."""
        values = self._model.constant(number)
        return None if values is None else values.reshape(self._model.graph.tensors[number].shape)

    def _add(self, kind: str, inputs: list[str], output: str, **how: Any) -> None:  # noqa: ANN401
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **how))


def _name(number: int) -> str:
    return f"tensor {number}"
