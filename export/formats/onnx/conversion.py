"""Convert the graph to an ONNX file with tf2onnx, deterministically."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.export.formats.conversion import check_calibration, pixels_of, serving_function
from pocketknn.export.formats.options import Options

from . import backbone_precision

if TYPE_CHECKING:
    import keras
    import onnx

OPSET = 17
_COUNTED = re.compile(r"__\d+")  # in names that tf2onnx makes up
_TABLES = re.compile(r"pocketknn(_\d+)?/(references|scan)")  # names of the search's nodes


def convert(
    model: keras.Model,
    path: Path,
    labels: Sequence[str],
    options: Options,
    precision: str,
    calibration: NDArray[Any] | None = None,
) -> None:
    """Convert with tf2onnx, and run the full ONNX checker.

    The graph takes batches of any size, and has only operators of ai.onnx.
    """
    import onnx
    import tf2onnx

    pixels = pixels_of(model, options)
    serve = serving_function(model, batch=None, pixels=pixels)
    proto, _ = tf2onnx.convert.from_function(
        serve, input_signature=serve.input_signature, opset=OPSET
    )
    for value in (*proto.graph.input, *proto.graph.output):
        rows = "slots" if value.name == growth.NAME else "batch"
        value.type.tensor_type.shape.dim[0].dim_param = rows  # tf2onnx names it unk__<number>
    _rows_first(proto)
    canonical(proto.graph)
    if precision == "float16":
        proto = backbone_precision.store_halves(proto)
    elif precision == "int8":
        pictures = check_calibration(calibration).astype(pixels)
        proto = backbone_precision.quantize(proto, pictures)
    # Drop intermediate shapes: they are the template's, and runtimes would rely on them for other
    # references, too.
    del proto.graph.value_info[:]
    _drop_unused_domains(proto)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save_model(proto, path)


def _drop_unused_domains(proto: onnx.ModelProto) -> None:
    """Drop unused operator sets: tf2onnx always imports ai.onnx.ml, which small runtimes lack."""
    used = {node.domain for node in proto.graph.node}
    kept = [one for one in proto.opset_import if one.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)


def _rows_first(proto: onnx.ModelProto) -> None:
    """Store the references by rows, and only once, even for a product that needs columns.

    The sums are the same. The Euclidean search both multiplies by the references and looks them up,
    and tf2onnx stores them both ways. Rows can be written directly from memory.
    """
    from onnx import helper, numpy_helper

    graph = proto.graph
    tables = {t.name: numpy_helper.to_array(t) for t in graph.initializer if len(t.dims) == 2}
    for node in graph.node:
        if node.op_type != "MatMul" or not _TABLES.match(node.name):
            continue
        rows = np.ascontiguousarray(tables[node.input[1]].T)
        twins = (name for name, table in tables.items() if _same_bits(table, rows))
        name = next(twins, None) or f"{node.input[1]}_rows"
        if name not in tables:
            graph.initializer.append(numpy_helper.from_array(rows, name))
        operands = (node.input[0], name)
        node.CopyFrom(helper.make_node("Gemm", operands, node.output, node.name, transB=1))
    used = {name for node in graph.node for name in node.input}
    kept = [table for table in graph.initializer if table.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _same_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype) and one.tobytes() == other.tobytes()


def canonical(graph: onnx.GraphProto) -> None:
    """Give nodes and constants a deterministic order and deterministic names.

    Of several equal nodes, tf2onnx keeps an arbitrary one under that node's name. It orders nodes
    by sets of names, which differ between processes, and the names that it makes up end in a
    counter that continues from one conversion to the next. Here, a node that reads a table of
    weights keeps its name from TensorFlow, and others are numbered; a value is named after its
    node, a constant after its first use.
    """
    graph.ClearField("doc_string")  # the number of the function that was converted
    nodes = _from_the_outputs(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    tables = {name for name, tensor in constants.items() if len(tensor.dims) > 1}
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    for number, node in enumerate(nodes):
        if not tables.intersection(node.input) or _COUNTED.search(node.name):
            node.name = f"{node.op_type}_{number}"
        for place, name in enumerate(node.input):
            if name in constants:
                names.setdefault(name, f"{node.name}/input_{place}")
        for place, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}:{place}" if name else "")
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]
    for name, tensor in constants.items():
        tensor.name = names[name]
    if len({node.name for node in nodes}) < len(nodes):
        raise ValueError("two nodes of the graph have the same name")
    ordered = sorted(graph.initializer, key=lambda tensor: str(tensor.name))
    del graph.node[:]
    graph.node.extend(nodes)
    for tensor in ordered:  # one at a time, as an append copies: the matrix is large
        graph.initializer.append(tensor)
        del graph.initializer[0]


def _from_the_outputs(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes in the order of a walk back from the outputs, each after those it reads from."""
    makers = {name: node for node in graph.node for name in node.output if name}
    waiting = [makers[value.name] for value in reversed(graph.output)]
    done: dict[str, onnx.NodeProto] = {}  # by the name of the first value they make
    while waiting:
        node = waiting[-1]
        missing = [
            makers[name]
            for name in reversed(node.input)
            if name in makers and makers[name].output[0] not in done
        ]
        if missing:
            waiting += missing
        else:
            done.setdefault(waiting.pop().output[0], node)
    return list(done.values())
