"""Read, check and run a Core ML package."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.builder.errors import OF_THE_MACHINE, InputError, first_line
from pocketknn.builder.system.blas import one_thread
from pocketknn.builder.system.container import cores
from pocketknn.export.formats.batches import in_blocks
from pocketknn.export.formats.requirements import is_there
from pocketknn.export.formats.storage import protobuf_fields
from pocketknn.export.formats.storage.texts import manifest_in, of_properties, ours
from pocketknn.export.output import checksums

from .files import LABEL_PROBABILITIES, WEIGHTS, root

if TYPE_CHECKING:
    from pocketknn.export.formats.protocol import Outputs, Run

# Path to the texts: fields of Model, ModelDescription and Metadata in Core ML's Model.proto.
_USER_DEFINED = (2, 100, 100)
_PROGRAM = 502  # of Model
_LARGE = 3 * 160 * 160  # numbers of a picture: at 224, two threads take two thirds of the time
# Maps an input, and the memory of a file that grows, to the outputs by name, with a vote as {label:
# share}.
_Predict = Callable[[NDArray[Any], Mapping[str, NDArray[Any]]], Mapping[str, Any]]


def read(path: Path) -> dict[str, str]:
    """The user-defined metadata of the package's specification; nothing else of it is read."""
    if not path.is_dir():
        raise InputError(f"{path.name} is not a Core ML package: those are folders", "file-damaged")
    try:
        with root(path).open("rb") as file:
            found = protobuf_fields.texts(file, *_USER_DEFINED)
    except (ValueError, OSError) as error:
        raise InputError(
            f"{path.name} is not a Core ML package: {first_line(error)}", "file-damaged"
        ) from error
    return ours(of_properties(found), path.name)


def check(path: Path) -> dict[str, str]:
    """Check a package for damage; returns its texts."""
    texts = read(path)
    checksums.check_texts(texts, path.name)
    checksums.check_runtime(texts, _sealed(path), path.name)
    return texts


def _sealed(path: Path) -> str:
    """sha256 of a package's program and weights: everything that runs."""
    digest, model, weights = hashlib.sha256(), root(path), path / "Data" / WEIGHTS
    with model.open("rb") as file:
        for one in protobuf_fields.follow(file, _PROGRAM):
            for block in checksums.blocks(model, one.start, one.end):
                digest.update(block)
    for block in checksums.blocks(weights) if weights.exists() else ():
        digest.update(block)
    return digest.hexdigest()


def load(path: Path, threads: int | None = None) -> Run:
    """Open the package: in Core ML on a Mac with coremltools, otherwise in our evaluator."""
    manifest = manifest_in(check(path))
    labels, asked = manifest["labels"], manifest["input"]["name"]
    on_mac = sys.platform == "darwin" and is_there("coremltools")
    predict = _core_ml(path, asked) if on_mac else _evaluator(path, asked)

    def run(batch: NDArray[Any], memory: NDArray[np.float32] | None = None) -> Outputs:
        outputs = predict(batch, {} if memory is None else {growth.NAME: memory})
        found: Outputs = {
            "scores": np.asarray(outputs["scores"], np.float32).reshape(1, -1),
            "indices": np.asarray(outputs["indices"], np.int64).reshape(1, -1),
        }
        for name in {"value", growth.EMBEDDING} & outputs.keys():
            found[name] = np.asarray(outputs[name], np.float32).reshape(1, -1)
        if labels:
            votes = outputs[LABEL_PROBABILITIES]
            found["probabilities"] = np.array([[votes[label] for label in labels]], np.float32)
        return found

    # The products of a picture are so small that threads for them take twice the processor time
    # for nothing. Instead, several pictures are evaluated at once. Of small ones, Python's own
    # steps take most of the time, and those do not run at once.
    large = np.prod(manifest["input"]["shape"]) >= _LARGE
    workers = threads or cores() if large and not on_mac else 1
    return in_blocks(run, workers=workers)  # the memory is optional


def _core_ml(path: Path, asked: str) -> _Predict:
    import coremltools as ct
    from PIL import Image

    model = ct.models.MLModel(str(path))

    def predict(batch: NDArray[Any], others: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        picture = batch.ndim == 4
        value = Image.fromarray(batch[0].astype(np.uint8)) if picture else batch.astype(np.float32)
        return dict(model.predict({asked: value, **others}))

    return predict


def _evaluator(path: Path, asked: str) -> _Predict:
    from . import evaluator

    try:
        program = evaluator.load(path)
    except OF_THE_MACHINE:
        raise
    except Exception as error:  # numpy may raise anything on constants of a damaged program
        raise InputError(
            f"{path.name} cannot be evaluated: {first_line(error)}", "file-damaged"
        ) from error

    def predict(batch: NDArray[Any], others: Mapping[str, NDArray[Any]]) -> Mapping[str, Any]:
        with one_thread(with_scipy=False):
            return program({asked: batch, **others})

    return predict
