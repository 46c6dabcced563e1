"""Keras: a .keras archive of stock layers, opened by plain `keras.saving.load_model`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError, first_line

from . import canonical
from .archive import append_files, read_files
from .metadata import Metadata
from .target import Outputs, Run

if TYPE_CHECKING:
    import keras

SUFFIX = ".keras"
PRECISION = "float32"
THREADS = False
PRECISIONS: tuple[str, ...] = ("float32",)


def convert(
    model: keras.Model,
    path: Path,
    metadata: Metadata,
    precision: str,
    calibration: NDArray[Any] | None = None,
) -> None:
    """Save the model; the metadata are further members of the archive, which Keras passes over."""
    model.save(path)
    canonical.keras_archive(path)
    append_files(path, metadata.files())


def read(path: Path) -> Metadata:
    """Read the metadata inside the archive."""
    return Metadata.parse(read_files(path), path.name)


def load(path: Path, threads: int | None = None) -> Run:
    """Open the archive with Keras alone, in safe mode."""
    import keras

    metadata = read(path)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever a damaged archive raises inside Keras
        raise InputError(f"{path.name} is refused by Keras: {first_line(error)}") from error

    # Manhattan's differences to all references are made for each input of a batch.
    together = 32 if metadata.manifest["metric"] in ("cosine", "euclidean") else 1

    def run(batch: NDArray[Any]) -> Outputs:
        outputs = model.predict(batch.astype(np.float32), batch_size=together, verbose=0)
        return {name: np.asarray(value) for name, value in outputs.items()}

    return run
