"""The inputs for the parity check, with their embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.embedding.local import run
from pocketknn.builder.photos.photo import drawn, readable

if TYPE_CHECKING:
    from pocketknn.builder.backbones.backbone import Backbone
    from pocketknn.builder.photos.photo import Photo

COUNT = 64
PHOTOS, NOISE = 40, 24  # same total; rounding errors show up first on noise
_CALIBRATION = 64  # photos that calibrate int8
_SAMPLE = 10_000  # vectors that show how far values spread


class Queries(NamedTuple):
    """Inputs of a model and their embeddings.

    Attributes:
        inputs: pictures (q, H, W, 3) uint8, or features (q, d).
        embeddings: (q, d), not normalised.
        judge: the runtime that embedded them: `litert`, `onnxruntime`, `keras` or `numpy`; "" if
            the inputs are features, which need no embedding.
    """

    inputs: NDArray[Any]
    embeddings: NDArray[np.floating]
    judge: str = ""


def from_photos(
    photos: Sequence[Photo],
    backbone: Backbone,
    square: Callable[[Photo], NDArray[np.uint8]],
    *,
    count: int = PHOTOS,
    seed: int = 0,
) -> Queries:
    """A seeded sample of photos, every second one mirrored, so that not all are references.

    The pictures of `noise` are added, because unusual input must not break a graph either, and a
    file that agrees here must also agree in a check without photos. Photos that cannot be read are
    skipped.

    Args:
        photos: the photos to sample from.
        backbone: the backbone that embeds them.
        square: maps a photo to the backbone's input; raises PictureError if it cannot be read.
        count: sample size.
        seed: random seed.

    Raises:
        InputError: none of the photos can be read.
    """
    squares = drawn(photos, square, seed)
    pictures = [
        picture[:, ::-1] if number % 2 else picture
        for number, (_, picture) in enumerate(islice(squares, count))
    ]
    inputs = np.concatenate([np.array(pictures), noise(backbone.size, seed=seed)])
    return Queries(inputs, run(backbone, inputs), backbone.engine.name)


def apart(photos: Sequence[Photo], seed: int = 0) -> tuple[list[Photo], list[Photo]]:
    """Split photos into those that check int8 and those that calibrate it.

    Args:
        photos: the photos, which must not include copies, as these could be in both parts.
        seed: random seed.

    Returns:
        Both parts in the order of the photos; the second has at most half of them, and at most 64.
    """
    order = np.random.default_rng(seed).permutation(len(photos))
    ranges = sorted(map(int, order[: min(len(photos) // 2, _CALIBRATION)]))
    taken = set(ranges)
    judges = [photo for row, photo in enumerate(photos) if row not in taken]
    return judges, [photos[row] for row in ranges]


def calibration(
    photos: Sequence[Photo], square: Callable[[Photo], NDArray[np.uint8]]
) -> NDArray[np.uint8] | None:
    """The pictures (n, size, size, 3) of `apart`'s second part; None if it is empty."""
    return np.stack([picture for _, picture in readable(photos, square)]) if photos else None


def made_up(
    vectors: NDArray[np.float32], backbone: Backbone | None, *, count: int = NOISE, seed: int
) -> Queries:
    """Inputs made without photos: by `synthetic`, or, without a backbone, by `from_vectors`."""
    if backbone is None:
        return from_vectors(vectors, seed=seed)
    return synthetic(backbone, count=count, seed=seed)


def synthetic(backbone: Backbone, *, count: int = NOISE, seed: int = 0) -> Queries:
    """The pictures of `noise`."""
    inputs = noise(backbone.size, count=count, seed=seed)
    return Queries(inputs, run(backbone, inputs), backbone.engine.name)


def noise(size: int, *, count: int = NOISE, seed: int = 0) -> NDArray[np.uint8]:
    """A black picture and pictures of noise, from fine to coarse: (count + 1, size, size, 3)."""
    rng = np.random.default_rng(seed)
    pictures = [np.zeros((size, size, 3), np.uint8)]
    for number in range(count):
        grain = min(size, 2 ** (number % 5))
        side = -(-size // grain)
        coarse = rng.integers(0, 256, (side, side, 3), np.uint8)
        pictures.append(coarse.repeat(grain, 0).repeat(grain, 1)[:size, :size])
    return np.stack(pictures)


def from_vectors(vectors: NDArray[np.float32], *, count: int = COUNT, seed: int = 0) -> Queries:
    """Feature vectors (q, d), both near the given ones (n, d) and far from them, and a zero vector.

    A third are given vectors, a third are given vectors with noise, and a third are only noise.
    """
    rng = np.random.default_rng(seed)
    some = vectors[rng.integers(0, len(vectors), count)]
    spread = vectors[:: -(-len(vectors) // _SAMPLE)].std(axis=0)
    noise = rng.standard_normal(some.shape) * (spread + 1e-6)
    kinds = np.arange(count)[:, None] % 3
    features = np.where(kinds == 0, some, np.where(kinds == 1, some + noise / 4, noise))
    features = np.concatenate([np.zeros((1, some.shape[1])), features]).astype(np.float32)
    return Queries(features, features)
