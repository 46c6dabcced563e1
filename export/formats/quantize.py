"""Smaller backbones: weights in half precision or 8 bits. The head stays float32.

A quantised head would lose the ranks: eight bits are steps of 0.004 of cosine, and neighbours lie
closer than that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError

if TYPE_CHECKING:
    import onnx

Pictures = NDArray[Any]  # (n, H, W, 3) with values 0..255, or features (n, d)
# What a backbone is made of in TFLite; all other operations belong to the head, or are as fast.
_IN_BACKBONE = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "PAD", "AVERAGE_POOL_2D", "MAX_POOL_2D")
_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def tflite_half(content: bytes) -> bytes:
    """Store the weights of convolutions as float16, with an operation that widens each of them.

    That is what the official converter makes of all weights, those of the head too.
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    (graph,) = model.subgraphs
    names = {value: key for key, value in vars(schema.BuiltinOperator).items()}
    kinds = [names[code.builtinCode] for code in model.operatorCodes]
    widen = schema.OperatorCodeT()
    widen.builtinCode = schema.BuiltinOperator.DEQUANTIZE
    widen.deprecatedBuiltinCode, widen.version = schema.BuiltinOperator.DEQUANTIZE, 3
    model.operatorCodes.append(widen)
    used = [op for op in graph.operators if kinds[op.opcodeIndex] in _WITH_WEIGHTS]
    casts = []
    for number in dict.fromkeys(int(op.inputs[1]) for op in used):
        tensor = graph.tensors[number]
        data = model.buffers[tensor.buffer].data
        if tensor.type != schema.TensorType.FLOAT32 or data is None:
            continue
        small = schema.TensorT()
        small.name, small.shape, small.type = tensor.name + b"_half", tensor.shape, 1  # FLOAT16
        small.buffer = len(model.buffers)
        buffer = schema.BufferT()
        half = np.frombuffer(bytes(data), np.float32).astype(np.float16)
        buffer.data = np.frombuffer(half.tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = 0  # it is computed now
        cast = schema.OperatorT()
        cast.opcodeIndex = len(model.operatorCodes) - 1
        cast.inputs, cast.outputs = [len(graph.tensors)], [number]
        graph.tensors.append(small)
        casts.append(cast)
    graph.operators = casts + graph.operators
    _drop_unused_buffers(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def tflite_int8(converter: Any, plain: bytes, pictures: Pictures) -> bytes:  # noqa: ANN401
    """Convert with 8-bit weights and activations in the backbone, calibrated on pictures.

    The ranges of the activations are those that the pictures reach; weights have a scale per
    channel. TensorFlow's debugger of quantisation is the one place that leaves operations out.

    Args:
        converter: one that has not converted yet.
        plain: the float32 file of the same graph.
        pictures: what to calibrate on.
    """
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    def calibration() -> Iterator[list[Any]]:
        for picture in pictures:
            yield [picture[None]]

    operations = Interpreter(model_content=plain)._get_ops_details()
    kinds = {operation["op_name"] for operation in operations}
    if not kinds & set(_WITH_WEIGHTS):  # pixels as they are: there is nothing to make smaller
        return plain
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter,
        debug_dataset=calibration,
        debug_options=tf.lite.experimental.QuantizationDebugOptions(
            denylisted_ops=sorted(kinds - {*_IN_BACKBONE, "DELEGATE"})
        ),
    )
    return bytes(debugger.get_nondebug_quantized_model())


def onnx_half(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Store the weights of convolutions as float16, each with a Cast that runtimes fold."""
    import onnx

    wanted = {node.input[1] for node in proto.graph.node if node.op_type == "Conv"}
    casts = []
    for tensor in proto.graph.initializer:
        if tensor.name in wanted and tensor.data_type == onnx.TensorProto.FLOAT:
            name = tensor.name
            half = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_half"))
            casts.append(
                onnx.helper.make_node(
                    "Cast", [f"{name}_half"], [name], f"{name}_widened", to=onnx.TensorProto.FLOAT
                )
            )
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return proto


def onnx_int8(proto: onnx.ModelProto, pictures: Pictures) -> onnx.ModelProto:
    """8-bit convolutions, calibrated on pictures, a scale per output channel.

    A ReLU6 is one with its convolution: eight bits of what it cuts off would be lost to the rest.
    """
    import onnx
    from onnxruntime import quantization as ort

    name = proto.graph.input[0].name

    class Calibration(ort.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(pictures)

        def get_next(self) -> dict[str, Any] | None:
            picture = next(self.left, None)
            return None if picture is None else {name: picture[None]}

    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "small.onnx"
        _fold_scales(proto.graph)
        onnx.save_model(proto, plain)
        ort.quantize_static(
            plain,
            small,
            Calibration(),
            quant_format=ort.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Clip", "Relu"],
            per_channel=True,
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
        )
        return onnx.load_model(small)


def _fold_scales(graph: onnx.GraphProto) -> None:
    """Put the batch norm behind a depthwise convolution, a product and a sum, into its weights.

    Converters do that for other convolutions. What lies between would get eight bits of its own.
    """
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    for conv in [node for node in graph.node if node.op_type == "Conv"]:
        while len(after := users.get(conv.output[0], [])) == 1:
            (node,) = after
            others = [name for name in node.input if name != conv.output[0]]
            if node.op_type not in ("Mul", "Add") or len(others) != 1 or others[0] not in constants:
                break
            value = numpy_helper.to_array(constants[others[0]])
            weights = numpy_helper.to_array(constants[conv.input[1]])
            if value.shape != (1, len(weights), 1, 1):
                break
            bias = np.zeros(len(weights), np.float32)
            if len(conv.input) > 2:
                bias = numpy_helper.to_array(constants[conv.input[2]])
            if node.op_type == "Mul":
                weights, bias = weights * value.reshape(-1, 1, 1, 1), bias * value.reshape(-1)
            else:
                bias = bias + value.reshape(-1)
            name = node.output[0]
            for place, made in ((1, weights), (2, bias)):
                constants[f"{name}_{place}"] = numpy_helper.from_array(made, f"{name}_{place}")
                graph.initializer.append(constants[f"{name}_{place}"])
            conv.input[:] = [conv.input[0], f"{name}_1", f"{name}_2"]
            conv.output[0] = name
            graph.node.remove(node)


def coreml_int8(model: Any) -> Any:  # noqa: ANN401  # coremltools' MLModel has no stubs
    """8-bit weights of convolutions, a scale per output channel; Core ML widens them."""
    import coremltools.optimize.coreml as cto

    how = cto.OpLinearQuantizerConfig(mode="linear_symmetric")
    config = cto.OptimizationConfig(op_type_configs={"conv": how})
    return cto.linear_quantize_weights(model, config)


def check_calibration(pictures: Pictures | None) -> Pictures:
    """The pictures to calibrate on.

    Raises:
        InputError: there are none.
    """
    if pictures is None or not len(pictures):
        raise InputError("int8 is calibrated on the pictures of the build, and there are none")
    return pictures


def _drop_unused_buffers(model: Any) -> None:  # noqa: ANN401
    """Without the buffers that no tensor and no metadata name; the first stays, as it must."""
    (graph,) = model.subgraphs
    named = {0, *(tensor.buffer for tensor in graph.tensors)}
    named |= {entry.buffer for entry in model.metadata or ()}
    kept = sorted(named)
    place = {old: new for new, old in enumerate(kept)}
    model.buffers = [model.buffers[old] for old in kept]
    for user in (*graph.tensors, *(model.metadata or ())):
        user.buffer = place[user.buffer]
