"""Embed pictures, a few at a time, on all cores of this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.backbones.engines.engine import TOGETHER, Engine
from pocketknn.builder.photos.photo import Photo, PictureError, read
from pocketknn.builder.photos.pixels.decode import Squares, picture
from pocketknn.builder.system.container import cores

from .cache import Embeddings
from .embedded import Done, Embedded, Outcome, collect

A = TypeVar("A")
P = ParamSpec("P")


class Look(NamedTuple):
    """How to embed pictures.

    Attributes:
        engine: computes the embeddings.
        size: side of its pictures in pixels.
        crop: how a picture becomes a square.
    """

    engine: Engine
    size: int
    crop: str


def chunks(photos: Sequence[Photo]) -> Iterator[Sequence[Photo]]:
    """Split photos into batches for an engine."""
    return (photos[start : start + TOGETHER] for start in range(0, len(photos), TOGETHER))


def attempt(
    photos: Sequence[Photo],
    look: Look,
    cache: Embeddings | None = None,
    squares: Squares | None = None,
) -> list[Outcome]:
    """Each photo's embedding, or the reason there is none.

    Args:
        photos: at most `TOGETHER`; all their files and pixels are in memory at once.
        look: how to crop and embed them.
        cache: stores embeddings from build to build.
        squares: stores the decoded pixels for later use.
    """
    contents = [_attempt(read, photo) for photo in photos]
    hashes = [
        "" if isinstance(content, PictureError) else hashlib.sha256(content).hexdigest()
        for content in contents
    ]
    known = cache.get([key for key in dict.fromkeys(hashes) if key]) if cache else {}
    # Embed copies of a picture only once.
    new = {
        key: _attempt(picture, content, look.size, look.crop)
        for key, content in dict(zip(hashes, contents, strict=True)).items()
        if key not in known and not isinstance(content, PictureError)
    }
    broken = {key: error for key, error in new.items() if isinstance(error, PictureError)}
    sound = {key: made for key, made in new.items() if not isinstance(made, PictureError)}
    if squares:
        for photo, key in zip(photos, hashes, strict=True):
            if key in sound:
                squares.keep(photo, sound[key])
    if sound:
        vectors = look.engine.run(np.stack(list(sound.values())))
        fresh = dict(zip(sound, vectors, strict=True))
        if cache:
            cache.put(fresh)
        known |= fresh
    return [
        content
        if isinstance(content, PictureError)
        else broken[key]
        if key in broken
        else Done(key, known[key])
        for key, content in zip(hashes, contents, strict=True)
    ]


def _attempt(work: Callable[P, A], *args: P.args, **kwargs: P.kwargs) -> A | PictureError:
    """The result of a function, or the PictureError that it raises."""
    try:
        return work(*args, **kwargs)
    except PictureError as error:
        return error


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
    """Read pictures and run the backbone on those missing from the cache.

    Args:
        photos: from `find`.
        backbone: gives embeddings (batch, d).
        crop: `center`, `stretch` or `fit`.
        strict: raise for the first unreadable picture, instead of skipping it.
        cache: stores embeddings from build to build.
        squares: stores the decoded pixels for later use.
        progress: called with the number of pictures done since the last call.

    Raises:
        InputError: no picture of a class can be read, or, with `strict`, any picture is unreadable.
    """
    look = Look(backbone.engine, backbone.size, crop)

    def attempts(wanted: Sequence[Photo]) -> Generator[Outcome, None, None]:
        # A thread holds the files and pixels of only one chunk.
        workers = ThreadPoolExecutor(cores())
        try:
            parts = chunks(wanted)
            for outcomes in workers.map(lambda part: attempt(part, look, cache, squares), parts):
                yield from outcomes
        finally:
            workers.shutdown(cancel_futures=True)  # on an error, drop the other pictures

    return collect(photos, backbone, crop, attempts, strict=strict, progress=progress)


def run(backbone: Backbone, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embeddings (n, d) of pictures (n, size, size, 3) with values 0..255."""
    chunks = [pixels[start : start + TOGETHER] for start in range(0, len(pixels), TOGETHER)]
    with ThreadPoolExecutor(cores()) as workers:
        return np.concatenate(list(workers.map(backbone.engine.run, chunks)))
