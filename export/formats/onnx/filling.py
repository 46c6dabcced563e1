"""Locate the references in an ONNX file, and replace them, possibly in fewer bytes.

The official converter would store float16 and int8 references as float32. An int8 product quantises
the query too, so it is only used to find candidates; a lookup converts only the rows it reads to
floats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.export.formats.storage import slots
from pocketknn.export.formats.storage.slots import INPUT, Content, Slots
from pocketknn.export.formats.storage.texts import manifest_in

from .file import mapped, without, write
from .metadata import introduce
from .stages import in_two_stages

if TYPE_CHECKING:
    import onnx

_MIDDLE = 128  # zero point of uint8, see `_store`


def locate(path: Path, content: Content) -> Slots:
    """Find the content's places: names of initializers, outputs by number, and inputs."""
    import onnx

    graph = onnx.load_model(path).graph
    tensors = [([t.name], onnx.numpy_helper.to_array(t)) for t in graph.initializer]
    numbers = [size for place, values in tensors for size in slots.sizes_in(place, values)]
    shapes = [value.type.tensor_type.shape.dim for value in graph.output]
    numbers += [
        ([place, axis], int(size.dim_value))
        for place, shape in enumerate(shapes)
        for axis, size in enumerate(shape)
    ]
    numbers += [
        ([INPUT, place, axis], int(size.dim_value))
        for place, value in enumerate(graph.input)
        for axis, size in enumerate(value.type.tensor_type.shape.dim)
    ]
    return slots.locate(content, tensors, numbers)


def constants(path: Path, places: Slots) -> dict[str, NDArray[Any]]:
    """The constants of a file, flat, as stored; the references are memory-mapped."""
    import onnx

    large = {place[0] for place in places.constants.get("references", ())}
    graph = without(path, large).graph
    values = {t.name: onnx.numpy_helper.to_array(t).ravel() for t in graph.initializer}
    values |= mapped(path, large)
    return {name: values[found[0][0]] for name, found in places.constants.items()}


def fill(
    source: Path, path: Path, places: Slots, content: Content, texts: Mapping[str, str]
) -> None:
    """Rewrite a converted file with other content, and the metadata in `metadata_props`.

    The references come last in the file, written directly from memory.
    """
    import onnx

    filled = list(slots.filled(places, content))
    large = {
        place[0]: _stored(values)
        for one in content.large  # in the order of the file
        for name, place, values in filled
        if name == one
    }
    proto = without(source, large)
    graph = proto.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for _, (name, *_), values in filled:
        if name in large:
            continue
        same = math.prod(tensors[name].dims) == values.size
        values = values.reshape(tensors[name].dims if same else values.shape)
        tensors[name].CopyFrom(onnx.numpy_helper.from_array(values, name))
    for (first, second, *axis), size in slots.resized(places, content):
        if first == INPUT:
            graph.input[second].type.tensor_type.shape.dim[axis[0]].dim_value = size
        elif isinstance(first, str):
            changed = onnx.numpy_helper.to_array(tensors[first]).copy()
            changed.reshape(-1)[second] = size
            tensors[first].CopyFrom(onnx.numpy_helper.from_array(changed, first))
        else:
            graph.output[first].type.tensor_type.shape.dim[second].dim_value = size
    if content.small():  # other files may be filled again
        in_two_stages(graph, content.sizes["references"])
    introduce(proto, manifest_in(texts))
    write(path, proto, large, texts)


def narrow(path: Path, places: Slots, kinds: Mapping[str, str]) -> Slots:
    """Change the types of initializers, and the nodes that read them; names stay the same."""
    import onnx

    proto = onnx.load_model(path)
    for name, kind in kinds.items():
        for place in places.constants[name]:
            _store(proto, place[0], kind)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save_model(proto, path)
    return places


def _stored(values: NDArray[Any]) -> NDArray[Any]:
    """A large constant as stored: int8 becomes uint8."""
    if values.dtype != np.int8:
        return values
    return values.view(np.uint8) ^ np.uint8(_MIDDLE)  # adds 128 to each


def _store(proto: onnx.ModelProto, name: str, kind: str) -> None:
    """Store an initializer as `float16`, or as `int8` with 128 added, which makes it uint8.

    Bytes are unsigned because onnxruntime's sums of signed ones saturate on processors without
    VNNI. Each query is quantised with its own scale, independent of its batch.
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
        """The nodes that replace a node reading the table."""
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
