"""Pictures become embeddings, a few at a time, on all cores of this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.backbones.engines.engine import TOGETHER, Engine, cores
from pocketknn.builder.photos.photo import Photo, PictureError, read
from pocketknn.builder.photos.pixels.decode import Squares, picture

from .cache import Embeddings
from .embedded import Done, Embedded, Outcome, collect

A = TypeVar("A")
P = ParamSpec("P")


class Look(NamedTuple):
    """How pictures are looked at.

    Attributes:
        engine: what computes embeddings.
        size: side of its pictures in pixels.
        crop: how a picture becomes a square.
    """

    engine: Engine
    size: int
    crop: str


def chunks(photos: Sequence[Photo]) -> Iterator[Sequence[Photo]]:
    """As many photos as are given to an engine at once, again and again."""
    return (photos[start : start + TOGETHER] for start in range(0, len(photos), TOGETHER))


def attempt(
    photos: Sequence[Photo],
    look: Look,
    cache: Embeddings | None = None,
    squares: Squares | None = None,
) -> list[Outcome]:
    """Each photo's embedding, or why there is none.

    Args:
        photos: at most `TOGETHER` of them, whose files and pixels are held at once.
        look: makes squares of them and embeds these.
        cache: remembers embeddings from build to build.
        squares: holds what was decoded, for whoever wants the pixels afterwards.
    """
    contents = [_attempt(read, photo) for photo in photos]
    hashes = [
        "" if isinstance(content, PictureError) else hashlib.sha256(content).hexdigest()
        for content in contents
    ]
    known = cache.get([key for key in dict.fromkeys(hashes) if key]) if cache else {}
    # The same picture twice is embedded once.
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
    """What a function gives, or the PictureError that it raises."""
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
