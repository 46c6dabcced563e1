"""Convert the graph to a TFLite file with the official converter, with a smaller backbone.

The head stays float32. A quantised head would lose the ranks: in int8 a cosine has steps of 0.004,
and neighbours are closer than that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.export.formats.conversion import check_calibration, pixels_of, serving_function
from pocketknn.export.formats.options import Options

from .model import FLOAT16, FLOAT32, Model

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Operations of backbones; all others belong to the head, or would not be faster.
_IN_BACKBONE = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "PAD", "AVERAGE_POOL_2D", "MAX_POOL_2D")
_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def convert(
    model: keras.Model,
    path: Path,
    labels: Sequence[str],
    options: Options,
    precision: str,
    calibration: NDArray[Any] | None = None,
) -> None:
    """Convert with the official converter; `indices` become float32.

    Platform task libraries refuse int32 outputs; float32 counts exactly to 16.7 million.
    """
    import tensorflow as tf

    module = tf.Module()
    # Without the raw variables the converter silently leaves out the weights.
    module.weights = [variable.value for variable in model.variables]
    kind = pixels_of(model, options)
    serve = serving_function(model, 1, casts={"indices": tf.float32}, pixels=kind)
    # The traced function, as the converter would trace any other again.
    module.serve = serve.get_concrete_function()

    def converter() -> tf.lite.TFLiteConverter:
        return tf.lite.TFLiteConverter.from_concrete_functions([module.serve], module)

    content = converter().convert()
    if precision == "int8":
        content = _int8(converter(), content, check_calibration(calibration).astype(kind))
    if precision == "float16":
        halved = Model(content)
        _store_halves(halved)
        halved.write(path, {})
    else:
        path.write_bytes(content)


def from_litert(content: bytes, size: int, path: Path, options: Options, precision: str) -> bool:
    """Write a packaged network, if its size and pixels are those of the file and it is not int8."""
    model = Model(content)
    declared = int(model.graph.tensors[model.graph.inputs[0]].shape[1])
    if declared != size or options.pixels != "float32" or precision == "int8":
        return False
    if precision == "float16":
        _store_halves(model)
    model.write(path, {})
    return True


def _store_halves(model: Model) -> None:
    """Store the weights of convolutions as float16, each with an operation that widens it.

    The official converter does that too, but for all weights, including the head's.
    """
    from ai_edge_litert import schema_py_generated as schema

    operators, graph = schema.BuiltinOperator, model.graph
    kinds = {getattr(operators, name) for name in _WITH_WEIGHTS}
    used = [one for one in graph.operators if model.kind(one) in kinds]
    model.code(operators.DEQUANTIZE, 3)  # present even without any convolution
    casts = []
    for number in dict.fromkeys(int(one.inputs[1]) for one in used):
        tensor = graph.tensors[number]
        if tensor.type != FLOAT32 or (values := model.constant(number)) is None:
            continue
        half = model.add_tensor(
            tensor.name + b"_half", tensor.shape, FLOAT16, values.astype(np.float16)
        )
        tensor.buffer = 0  # now computed
        casts.append(model.operator(operators.DEQUANTIZE, 3, [half], [number]))
    graph.operators = casts + graph.operators
    model.drop_unused_buffers()


def _int8(converter: Any, plain: bytes, pictures: NDArray[Any]) -> bytes:  # noqa: ANN401
    """Convert with int8 weights and activations in the backbone, calibrated on pictures.

    The pictures determine the ranges of the activations; weights have one scale per channel. Only
    TensorFlow's quantisation debugger can exclude operations.

    Args:
        converter: a converter that has not been used yet.
        plain: the float32 file of the same graph.
        pictures: the pictures to calibrate on.
    """
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    reader = Interpreter(model_content=plain)
    operations = reader._get_ops_details()
    shapes = [one["shape"] for one in reader.get_input_details()]

    def calibration() -> Iterator[list[Any]]:
        for picture in pictures:  # and an empty memory: the head is not calibrated
            yield [picture[None] if len(one) == 4 else np.zeros(one, np.float32) for one in shapes]

    kinds = {operation["op_name"] for operation in operations}
    if not kinds & set(_WITH_WEIGHTS):  # raw pixels: there is nothing to make smaller
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
