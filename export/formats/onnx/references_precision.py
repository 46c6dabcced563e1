"""Smaller references: constants of the head in 8 or 16 bits, in a file that was converted.

The official converter would make float32 of them. What multiplies by bytes takes a query in bytes
too, and is used only to find candidates; what looks rows up makes floats of these rows alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.export.formats.slots import Slots

if TYPE_CHECKING:
    import onnx

_MIDDLE = 128  # what is added to bytes, see `_store`


def narrow(path: Path, places: Slots, kinds: Mapping[str, str]) -> Slots:
    """Change the types of initializers, and what takes them; their names stay."""
    import onnx

    proto = onnx.load_model(path)
    for name, kind in kinds.items():
        for place in places.constants[name]:
            _store(proto, place[0], kind)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save_model(proto, path)
    return places


def stored(values: NDArray[Any]) -> NDArray[Any]:
    """A large constant as files hold it: bytes have no sign there."""
    if values.dtype != np.int8:
        return values
    return values.view(np.uint8) ^ np.uint8(_MIDDLE)  # adds 128 to each


def _store(proto: onnx.ModelProto, name: str, kind: str) -> None:
    """Store an initializer as `float16`, or as `int8` with 128 added, which makes it uint8.

    Bytes without a sign, because onnxruntime's sums of signed ones saturate on processors without
    VNNI. A query becomes bytes by a scale of its own, whatever others are in its batch.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = proto.graph
    (tensor,) = (one for one in graph.initializer if one.name == name)
    small = np.zeros(tensor.dims, np.uint8 if kind == "int8" else np.float16)
    tensor.CopyFrom(numpy_helper.from_array(small, name))
    numbers = {
        "bytes_middle": np.uint8(_MIDDLE),
        "bytes_wide_middle": np.float32(_MIDDLE),
        "bytes_largest": np.float32(_MIDDLE - 1),
        "bytes_smallest": np.float32(1e-30),
    }

    def steps(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """What stands for a node that takes the table."""
        own = node.output[0]

        def made(
            operator: str,
            inputs: list[str],
            result: str,
            **how: Any,  # noqa: ANN401
        ) -> onnx.NodeProto:
            return helper.make_node(operator, inputs, [result], f"{result}_of_{kind}", **how)

        if node.op_type == "Gather":
            yield made("Gather", [name, node.input[1]], f"{own}_{kind}", axis=0)
            if kind == "float16":
                yield made("Cast", [f"{own}_{kind}"], own, to=TensorProto.FLOAT)
                return
            yield made("Cast", [f"{own}_{kind}"], f"{own}_wide", to=TensorProto.FLOAT)
            yield made("Sub", [f"{own}_wide", "bytes_wide_middle"], own)
        elif node.op_type == "Gemm" and kind == "float16":
            yield made("Cast", [name], f"{own}_wide", to=TensorProto.FLOAT)
            yield made("Gemm", [node.input[0], f"{own}_wide"], own, transB=1)
        elif node.op_type == "Gemm":
            query = node.input[0]
            yield made("Abs", [query], f"{own}_sizes")
            yield made("ReduceMax", [f"{own}_sizes"], f"{own}_longest", axes=[-1], keepdims=1)
            yield made("Max", [f"{own}_longest", "bytes_smallest"], f"{own}_most")
            yield made("Div", [query, f"{own}_most"], f"{own}_share")
            yield made("Mul", [f"{own}_share", "bytes_largest"], f"{own}_scaled")
            yield made("Round", [f"{own}_scaled"], f"{own}_whole")
            yield made("Add", [f"{own}_whole", "bytes_wide_middle"], f"{own}_moved")
            yield made("Cast", [f"{own}_moved"], f"{own}_query", to=TensorProto.UINT8)
            yield made("Transpose", [name], f"{own}_columns", perm=[1, 0])
            given = [f"{own}_query", f"{own}_columns", "bytes_middle", "bytes_middle"]
            yield made("MatMulInteger", given, f"{own}_sums")
            yield made("Cast", [f"{own}_sums"], own, to=TensorProto.FLOAT)
        else:
            raise ValueError(f"operator {node.op_type} takes no {kind}")

    nodes = [one for node in graph.node for one in (steps(node) if name in node.input else [node])]
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    used -= {one.name for one in graph.initializer}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value), key)
        for key, value in numbers.items()
        if key in used
    )
