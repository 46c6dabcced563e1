"""TFLite: for Android, Raspberry Pi and everything LiteRT runs on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError, first_line

from . import quantize
from .archive import append_files, payload, read_files
from .graph import serving_function
from .metadata import Metadata
from .target import Outputs, Run
from .tflite_metadata import NAME, pack
from .tflite_model import rewrite, signature

if TYPE_CHECKING:
    import keras

SUFFIX = ".tflite"
PRECISION = "float32"
# Of the outputs: the converter's order is another in each build, and apps take the first.
_ORDER = ("probabilities", "value", "scores", "indices")
PRECISIONS: tuple[str, ...] = ("float32", "float16", "int8")
THREADS = True


def convert(
    model: keras.Model,
    path: Path,
    metadata: Metadata,
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
    kind = metadata.manifest["input"]["dtype"]
    module.serve = serving_function(model, 1, casts={"indices": tf.float32}, pixels=kind)

    def converter() -> tf.lite.TFLiteConverter:
        return tf.lite.TFLiteConverter.from_concrete_functions(
            [module.serve.get_concrete_function()], module
        )

    content = converter().convert()
    if precision == "float16":
        content = quantize.tflite_half(content)
    elif precision == "int8":
        pictures = quantize.check_calibration(calibration).astype(kind)
        content = quantize.tflite_int8(converter(), content, pictures)
    ports = signature(content).ordered(_ORDER)
    content = rewrite(content, ports, NAME, pack(metadata, ports))
    path.write_bytes(content)
    append_files(path, metadata.files(content))


def read(path: Path) -> Metadata:
    """Read the metadata from the archive at the end of the file."""
    return Metadata.parse(read_files(path), path.name)


def load(path: Path, threads: int | None = None) -> Run:
    """Open the file in LiteRT.

    Outputs are taken by the names of the signature, wherever they lie.
    """
    from ai_edge_litert.interpreter import Interpreter

    read(path).check_seal(payload(path), path.name)
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        runner = interpreter.get_signature_runner("serving_default")
        ((name, given),) = runner.get_input_details().items()
    except (ValueError, RuntimeError, KeyError) as error:
        raise InputError(f"{path.name} is refused by LiteRT: {first_line(error)}") from error

    def one(item: NDArray[Any]) -> Outputs:
        outputs = runner(**{name: item[None].astype(given["dtype"])})
        return {key: np.array(value) for key, value in outputs.items()}

    def run(batch: NDArray[Any]) -> Outputs:
        rows = [one(item) for item in batch]
        outputs = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
        if "indices" in outputs:
            outputs["indices"] = outputs["indices"].astype(np.int64)
        return outputs

    return run
