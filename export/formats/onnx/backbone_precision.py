"""Smaller backbones: weights in float16 or int8. The head stays float32.

A quantised head would lose the ranks: in int8 a cosine has steps of 0.004, and neighbours are
closer than that.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth

if TYPE_CHECKING:
    import onnx


def store_halves(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Store the weights of convolutions as float16, each with a Cast that runtimes fold away."""
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


def quantize(proto: onnx.ModelProto, pictures: NDArray[Any]) -> onnx.ModelProto:
    """int8 convolutions, calibrated on pictures, with one scale per output channel.

    A ReLU6 is quantised with its convolution: the range it cuts off would waste int8 values.
    """
    import onnx
    from onnxruntime import quantization as ort

    axes = {one.name: one.type.tensor_type.shape.dim for one in proto.graph.input}
    memory = axes.pop(growth.NAME, None)
    (name,) = axes
    # The head is not calibrated, so nothing need be taught.
    others = {} if memory is None else {growth.NAME: growth.nothing(1, memory[1].dim_value)}

    class Calibration(ort.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(pictures)

        def get_next(self) -> dict[str, Any] | None:
            picture = next(self.left, None)
            return None if picture is None else {name: picture[None]} | others

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
        found = onnx.load_model(small)
    _make_unsigned(found.graph)
    return found


def _make_unsigned(graph: onnx.GraphProto) -> None:
    """Store signed bytes as unsigned ones with a zero point of 128; the numbers are the same.

    Processors with AVX2 but without VNNI add products of unsigned and signed bytes in 16 bits,
    which overflow: cosines were off by 0.3. Products of unsigned bytes are added in 32 bits.
    """
    from onnx import TensorProto, numpy_helper

    given = {one for node in graph.node if node.op_type == "DequantizeLinear" for one in node.input}
    for tensor in graph.initializer:
        if tensor.name in given and tensor.data_type == TensorProto.INT8:
            moved = (numpy_helper.to_array(tensor).astype(np.int16) + 128).astype(np.uint8)
            tensor.CopyFrom(numpy_helper.from_array(moved, tensor.name))


def _fold_scales(graph: onnx.GraphProto) -> None:
    """Fold the batch norm (a product and a sum) after a depthwise convolution into its weights.

    Converters do that only for other convolutions. Unfolded, the values in between would be
    quantised too.
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
