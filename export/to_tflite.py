"""TFLite: for Android, Raspberry Pi and everything LiteRT runs on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError, first_line

from .archive import append_files, payload, read_files
from .graph import serving_function
from .metadata import Metadata
from .target import Outputs, Run

if TYPE_CHECKING:
    import keras

SUFFIX = ".tflite"
PRECISION = "float32"


def convert(model: keras.Model, path: Path, metadata: Metadata, precision: str) -> None:
    """Convert with the official converter; `indices` become float32.

    Platform task libraries refuse int32 outputs; float32 counts exactly to 16.7 million.
    """
    import tensorflow as tf

    module = tf.Module()
    # Without the raw variables the converter leaves the weights out, without a word.
    module.weights = [variable.value for variable in model.variables]
    module.serve = serving_function(model, batch=1, casts={"indices": tf.float32})
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.serve.get_concrete_function()], module
    )
    content = converter.convert()
    path.write_bytes(content)
    append_files(path, metadata.files(content))


def read(path: Path) -> Metadata:
    """Read the metadata from the archive at the end of the file."""
    return Metadata.parse(read_files(path), path.name)


def load(path: Path) -> Run:
    """Open the file in LiteRT.

    Outputs are taken by the names of the signature: their positions differ from build to build.
    """
    from ai_edge_litert.interpreter import Interpreter

    read(path).check_seal(payload(path), path.name)
    try:
        interpreter = Interpreter(model_path=str(path))
        signature = interpreter.get_signature_runner("serving_default")
        (name,) = signature.get_input_details()
    except (ValueError, RuntimeError, KeyError) as error:
        raise InputError(f"{path.name} is refused by LiteRT: {first_line(error)}") from error

    def one(item: NDArray[Any]) -> Outputs:
        outputs = signature(**{name: item[None].astype(np.float32)})
        return {key: np.array(value) for key, value in outputs.items()}

    def run(batch: NDArray[Any]) -> Outputs:
        rows = [one(item) for item in batch]
        outputs = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
        return outputs | {"indices": outputs["indices"].astype(np.int64)}

    return run
