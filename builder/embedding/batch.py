"""A few pictures become embeddings, or the reason why not: what every engine does with them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.engines.engine import TOGETHER, Engine
from pocketknn.builder.photos.photo import Photo, PictureError, read
from pocketknn.builder.photos.pixels.decode import Squares, picture

if TYPE_CHECKING:
    from .cache import Embeddings


A = TypeVar("A")
P = ParamSpec("P")


class Done(NamedTuple):
    """A picture that was embedded.

    Attributes:
        sha256: hash of the file.
        embedding: (d,) float32.
    """

    sha256: str
    embedding: NDArray[np.float32]


Outcome = Done | PictureError


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
