"""`pixels`: the flattened picture itself, for drawings and as a baseline for backbones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.backbones.engines.conversion import Pictures, Vectors
from pocketknn.builder.backbones.weights.info_cache import Facts, hash_of
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import Cache

from .backbone import Backbone

if TYPE_CHECKING:
    import keras

_SIZE = 32


def load(name: str, spec: Spec, cache: Cache | None = None) -> Backbone:
    """All pixels of a square of the given size."""
    size = spec.size or _SIZE

    def model() -> keras.Model:
        import keras

        image = keras.Input((size, size, 3), name="image")
        # No rescaling: it changes no cosine, and 0..255 is exact in float16, unlike n / 255.
        return keras.Model(image, keras.layers.Flatten()(image), name="backbone")

    facts = Facts(size, size * size * 3, hash_of([]))
    return Backbone(name=name, facts=facts, load=model, by_numpy=_flat)


def _flat(pictures: Pictures) -> Vectors:
    return pictures.reshape(len(pictures), -1).astype(np.float32)
