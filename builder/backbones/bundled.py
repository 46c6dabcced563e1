"""The weights of the bundled backbone, and their names."""

from __future__ import annotations

import io
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

ALPHA, SIZE, DIM = 0.5, 96, 1280
WEIGHTS = f"mobilenet_v2_{ALPHA}_{SIZE}.npz"
GRAPH = f"mobilenet_v2_{ALPHA}_{SIZE}.tflite"  # see `graphs`


@cache
def content() -> bytes:
    """The weights file."""
    return files("pocketknn.builder").joinpath("bundled", WEIGHTS).read_bytes()


def weights() -> dict[str, NDArray[np.float32]]:
    """All weights by `layer/variable`, in Keras' order."""
    with np.load(io.BytesIO(content()), allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.float32) for name in arrays}
