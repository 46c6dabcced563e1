"""From the graph to a TFLite file, by the official converter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from pocketknn.export.formats.options import Options
from pocketknn.export.formats.serving_function import (
    check_calibration,
    pixels_of,
    serving_function,
)

from .backbone_precision import int8, store_halves
from .model import Model

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


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
    # Without the raw variables the converter leaves the weights out, without a word.
    module.weights = [variable.value for variable in model.variables]
    kind = pixels_of(model, options)
    module.serve = serving_function(model, 1, casts={"indices": tf.float32}, pixels=kind)

    def converter() -> tf.lite.TFLiteConverter:
        return tf.lite.TFLiteConverter.from_concrete_functions(
            [module.serve.get_concrete_function()], module
        )

    content = converter().convert()
    if precision == "int8":
        content = int8(converter(), content, check_calibration(calibration).astype(kind))
    if precision == "float16":
        halved = Model(content)
        store_halves(halved)
        halved.write(path, {})
    else:
        path.write_bytes(content)
