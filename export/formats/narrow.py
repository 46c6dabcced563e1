"""Smaller references: constants of the head in 8 or 16 bits, in a file that was converted.

The official converters would make float32 of them. What multiplies by bytes takes a query in bytes
too, and is used only to find candidates; what looks rows up makes floats of these rows alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pocketknn.export.formats.coreml.package import Package
from pocketknn.export.formats.tflite.model import Model

if TYPE_CHECKING:
    import onnx

MIDDLE = 128  # what ONNX files add to bytes, see `onnx_tables`
_TYPES = {"int8": 9, "float16": 1}  # of TensorType in the TFLite schema
_FLOAT32 = 0


def tflite(model: Model, tensor: int, kind: str) -> None:
    """Store a tensor as `int8` or `float16`.

    A fully connected layer of bytes quantises its input as it runs, as LiteRT's dynamic range
    does; before one of float16 the weights are widened, which LiteRT does once.
    """
    from ai_edge_litert import schema_py_generated as schema

    operators, graph = schema.BuiltinOperator, model.graph
    graph.tensors[tensor].type = _TYPES[kind]
    if kind == "int8":
        scale = schema.QuantizationParametersT()
        scale.scale, scale.zeroPoint = np.ones(1, np.float32), np.zeros(1, np.int64)
        graph.tensors[tensor].quantization = scale
    values = np.zeros(int(np.prod(graph.tensors[tensor].shape)), np.int8)
    model.set_constant(tensor, values)

    widened: list[Any] = []
    for place, operator in reversed(list(enumerate(graph.operators))):
        if tensor not in operator.inputs:
            continue
        if model.kind(operator) == operators.GATHER:
            found = int(operator.outputs[0])
            small = model.add_tensor(f"{tensor}_{kind}", graph.tensors[found].shape, _TYPES[kind])
            operator.outputs = [small]
            cast = model.operator(operators.CAST, 1, [small], [found])
            cast.builtinOptionsType = schema.BuiltinOptions.CastOptions
            cast.builtinOptions = schema.CastOptionsT()
            cast.builtinOptions.inDataType = _TYPES[kind]
            cast.builtinOptions.outDataType = _FLOAT32
            graph.operators.insert(place + 1, cast)
        elif model.kind(operator) == operators.FULLY_CONNECTED and kind == "int8":
            operator.opcodeIndex = model.code(operators.FULLY_CONNECTED, 9)
            operator.builtinOptions.asymmetricQuantizeInputs = True
        elif model.kind(operator) == operators.FULLY_CONNECTED:
            wide = model.add_tensor(f"{tensor}_float32", graph.tensors[tensor].shape, _FLOAT32)
            operator.inputs = [wide if one == tensor else one for one in operator.inputs]
            widened.append(model.operator(operators.DEQUANTIZE, 3, [tensor], [wide]))
        else:
            raise ValueError(f"operator {model.kind(operator)} takes no {kind}")
    graph.operators = widened + graph.operators


def onnx_tables(proto: onnx.ModelProto, name: str, kind: str) -> None:
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
        "bytes_middle": np.uint8(MIDDLE),
        "bytes_wide_middle": np.float32(MIDDLE),
        "bytes_largest": np.float32(MIDDLE - 1),
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


def coreml(package: Package, number: int, kind: str) -> int:
    """Store a constant as `int8` or `float16`; Core ML makes float32 of it when it loads.

    Args:
        package: the package.
        number: of the operation that is the constant.
        kind: the type.

    Returns:
        How many operations there are now behind that one which were not there.
    """
    from pocketknn.export.formats.coreml.evaluator import proto

    messages, operations = proto.messages(), package.block.operations
    table = operations[number]
    name, value = table.outputs[0].name, table.attributes["val"]
    shape = [axis.constant.size for axis in value.type.tensorType.dimensions]
    package.replace(value, np.zeros(shape, np.int8 if kind == "int8" else np.float16))
    if kind == "float16":
        value.type.tensorType.dataType = messages.DataType.FLOAT16
        wide, how = type(table)(), type(table)()
        wide.type = "cast"
        wide.outputs.add().CopyFrom(table.outputs[0])
        table.outputs[0].name = _called(table, f"{name}_half")
        table.outputs[0].type.CopyFrom(value.type)
        how.CopyFrom(_constant(messages, f"{name}_float32", "fp32"))
        wide.inputs["x"].arguments.add().name = f"{name}_half"
        wide.inputs["dtype"].arguments.add().name = how.outputs[0].name
        wide.attributes["name"].CopyFrom(table.attributes["name"])
        _called(wide, f"{name}_widened")
        operations.insert(number + 1, how)
        operations.insert(number + 2, wide)
        return 2
    value.type.tensorType.dataType = messages.DataType.INT8
    table.type = "constexpr_affine_dequantize"
    table.attributes["quantized_data"].CopyFrom(value)
    del table.attributes["val"]
    given = {"scale": np.float32(1), "zero_point": np.int8(0), "axis": np.int32(0)}
    for key, single in given.items():
        table.attributes[key].CopyFrom(_value(messages, single))
    return 0


def _called(operation: Any, name: str) -> str:  # noqa: ANN401
    """Give an operation a name; the name."""
    operation.attributes["name"].immediateValue.tensor.strings.values[:] = [name]
    return name


def _constant(messages: Any, name: str, text: str) -> Any:  # noqa: ANN401
    """An operation that is a text."""
    made = messages.Operation(type="const")
    made.attributes["name"].CopyFrom(_value(messages, name))
    made.attributes["val"].CopyFrom(_value(messages, text))
    made.outputs.add(name=name).type.CopyFrom(made.attributes["val"].type)
    return made


def _value(messages: Any, single: Any) -> Any:  # noqa: ANN401
    """A text or a number as the message of a value."""
    value = messages.Value()
    held = value.immediateValue.tensor
    if isinstance(single, str):
        value.type.tensorType.dataType = messages.DataType.STRING
        held.strings.values[:] = [single]
    elif single.dtype == np.int8:
        value.type.tensorType.dataType = messages.DataType.INT8
        held.bytes.values = single.tobytes()
    elif single.dtype == np.int32:
        value.type.tensorType.dataType = messages.DataType.INT32
        held.ints.values[:] = [int(single)]
    else:
        value.type.tensorType.dataType = messages.DataType.FLOAT32
        held.floats.values[:] = [float(single)]
    return value
