"""TFLite: for Android, Raspberry Pi and everything LiteRT runs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.graph.index_layers import LARGE
from pocketknn.export.formats import narrow as smaller
from pocketknn.export.formats import quantize
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.protocol import Outputs, Run
from pocketknn.export.formats.serving_function import pixels_of, serving_function
from pocketknn.export.formats.zip_texts import append_files, payload, read_files
from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.output import checksums
from pocketknn.export.templates import slots
from pocketknn.export.templates.slots import Content, Slots

from .metadata import NAME, pack
from .model import Model

if TYPE_CHECKING:
    import keras

SUFFIX = ".tflite"
NEEDS: tuple[str, ...] = ("tensorflow", "flatbuffers", "onnx", "onnxruntime")  # the latter judge it
RUNTIME: tuple[str, ...] = ("ai_edge_litert",)
PRECISION = "float32"
# Of the outputs: the converter's order is another in each build, and apps take the first.
_ORDER = ("probabilities", "value", "scores", "indices")
PRECISIONS: tuple[str, ...] = ("float32", "float16", "int8")
THREADS = True


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
    if precision == "float16":
        content = quantize.tflite_half(content)
    elif precision == "int8":
        pictures = quantize.check_calibration(calibration).astype(kind)
        content = quantize.tflite_int8(converter(), content, pictures)
    path.write_bytes(content)


def locate(path: Path, content: Content) -> Slots:
    """Find the content's places: numbers of tensors, with an axis or a place in their values."""
    model = Model(path.read_bytes())
    tensors, numbers = [], []
    for number, values in model.constants():
        tensors.append(([number], values))
        numbers += slots.sizes_in([number, "value"], values)
    for number, tensor in enumerate(model.graph.tensors):
        axes = enumerate(tensor.shape if tensor.shape is not None else ())
        numbers += [([number, "axis", axis], int(size)) for axis, size in axes]
    return slots.locate(content, tensors, numbers)


def narrow(path: Path, places: Slots, kinds: Mapping[str, str]) -> Slots:
    """Change the types of tensors; their numbers stay."""
    model = Model(path.read_bytes())
    for name, kind in kinds.items():
        for place in places.constants[name]:
            smaller.tflite(model, place[0], kind)
    model.write(path, {})
    return places


def content(path: Path, places: Slots) -> dict[str, NDArray[Any]]:
    """The constants of a file, flat, as they lie in it; the references stay in the file."""
    values = dict(Model(np.memmap(path, np.uint8, "r")).constants())
    return {name: values[found[0][0]] for name, found in places.constants.items()}


def fill(source: Path, path: Path, places: Slots, content: Content, metadata: Metadata) -> None:
    """Write a converted file again with other content, metadata, and its outputs in order."""
    model = Model(np.memmap(source, np.uint8, "r"))
    streamed = {}
    for name, found in places.constants.items():
        for place in found:
            values = slots.values(content, place, name)
            if name in LARGE:
                streamed[place[0]] = values
            else:
                model.set_constant(place[0], values)
    for name, found in places.sizes.items():
        for number, what, at in found:
            if what == "axis":
                model.set_axis(number, at, content.sizes[name])
            else:
                model.set_value(number, at, content.sizes[name])
    ports = model.signature().ordered(_ORDER)
    model.reorder(ports)
    model.set_metadata(NAME, pack(metadata, ports))
    digest = model.write(path, streamed)
    append_files(path, metadata.files(digest))


def read(path: Path) -> Metadata:
    """Read the metadata from the archive at the end of the file."""
    return Metadata.parse(read_files(path), path.name)


def check(path: Path) -> Metadata:
    """Refuse a file that is not what was written; its metadata."""
    metadata = read(path)
    metadata.check_seal(checksums.sha256(path, 0, payload(path)), path.name)
    return metadata


def load(path: Path, threads: int | None = None) -> Run:
    """Open the file in LiteRT.

    Outputs are taken by the names of the signature, wherever they lie. An interpreter serves one
    caller at a time: others, in other threads, would read outputs that are not theirs.
    """
    from ai_edge_litert.interpreter import Interpreter

    check(path)
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        runner = interpreter.get_signature_runner("serving_default")
        ((name, given),) = runner.get_input_details().items()
    except (ValueError, RuntimeError, KeyError) as error:
        raise InputError(f"{path.name} is refused by LiteRT: {first_line(error)}") from error

    one_caller = Lock()

    def one(item: NDArray[Any]) -> Outputs:
        with one_caller:
            outputs = runner(**{name: item[None].astype(given["dtype"])})
            return {key: np.array(value) for key, value in outputs.items()}

    def run(batch: NDArray[Any]) -> Outputs:
        rows = [one(item) for item in batch]
        outputs = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
        if "indices" in outputs:
            outputs["indices"] = outputs["indices"].astype(np.int64)
        return outputs

    return run
