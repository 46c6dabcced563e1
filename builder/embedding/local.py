"""Pictures become embeddings, on all cores of this machine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.backbones.engines.engine import TOGETHER, cores
from pocketknn.builder.photos.photo import Photo
from pocketknn.builder.photos.pixels.decode import Squares

from .batch import Look, Outcome, attempt, chunks
from .cache import Embeddings
from .embedded import Embedded, collect


def embed(
    photos: Sequence[Photo],
    backbone: Backbone,
    crop: str,
    *,
    strict: bool = False,
    cache: Embeddings | None = None,
    squares: Squares | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Embedded:
    """Read pictures and run the backbone on those that the cache does not know.

    Args:
        photos: what `find` found.
        backbone: gives embeddings (batch, d).
        crop: `center`, `stretch` or `fit`.
        strict: refuse the first picture that cannot be read, instead of skipping it.
        cache: remembers embeddings from build to build.
        squares: holds what was decoded, for whoever wants the pixels afterwards.
        progress: called with the number of pictures done since the last call.

    Raises:
        InputError: none of the pictures of a class can be read; with `strict`, one of them cannot.
    """
    look = Look(backbone.engine, backbone.size, crop)

    def attempts(wanted: Sequence[Photo]) -> Generator[Outcome, None, None]:
        # A thread holds the files and pixels of one chunk, whatever the folder's size.
        workers = ThreadPoolExecutor(cores())
        try:
            parts = chunks(wanted)
            for outcomes in workers.map(lambda few: attempt(few, look, cache, squares), parts):
                yield from outcomes
        finally:
            workers.shutdown(cancel_futures=True)  # an error does not wait for all other pictures

    return collect(photos, backbone, crop, attempts, strict=strict, progress=progress)


def run(backbone: Backbone, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embeddings (n, d) of pictures (n, size, size, 3) with values 0..255."""
    chunks = [pixels[start : start + TOGETHER] for start in range(0, len(pixels), TOGETHER)]
    with ThreadPoolExecutor(cores()) as workers:
        return np.concatenate(list(workers.map(backbone.engine.run, chunks)))
