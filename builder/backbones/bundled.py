"""The bundled backbone: a small MobileNetV2 with its weights in this package."""

from __future__ import annotations

import functools
import hashlib
import io
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.networks import weightless_graphs
from pocketknn.builder.backbones.networks.keras_models import from_pixels, with_arrays
from pocketknn.builder.backbones.networks.mobilenets import FAMILIES, check_size, network
from pocketknn.builder.backbones.weights.info_cache import Facts, hash_of
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import Cache

from .backbone import Backbone

ALPHA, SIZE, DIM = 0.5, 96, 1280
WEIGHTS = f"mobilenet_v2_{ALPHA}_{SIZE}.npz"
GRAPH = f"mobilenet_v2_{ALPHA}_{SIZE}.tflite"  # see `weightless_graphs`


def load(name: str, spec: Spec, cache: Cache | None = None) -> Backbone:
    """The bundled backbone, at any size that the network supports.

    Raises:
        InputError: the size is too small.
    """
    family, size = FAMILIES["mobilenet_v2"], spec.size or SIZE
    check_size(family.title, size)
    arrays = weights()
    return Backbone(
        name=name,
        facts=Facts(size, DIM, hash_of(arrays.values())),
        load=lambda: from_pixels(
            with_arrays(network(family, ALPHA, size), arrays), family.input_range
        ),
        graph=functools.cache(lambda: weightless_graphs.filled(GRAPH, arrays)),
        input_range=family.input_range,
        weights=WEIGHTS,
        weights_sha256=hashlib.sha256(content()).hexdigest(),
        alpha=ALPHA,
    )


@functools.cache
def content() -> bytes:
    """The weights file."""
    return files("pocketknn.builder").joinpath("bundled", WEIGHTS).read_bytes()


def weights() -> dict[str, NDArray[np.float32]]:
    """All weights by `layer/variable`, in Keras' order."""
    with np.load(io.BytesIO(content()), allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.float32) for name in arrays}
