"""The pictures of references, where they can be found again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.images import Photo, PictureError, decode, read, square


class Reference(Protocol):
    """A row of references.csv."""

    @property
    def id(self) -> str:
        """The start of the picture's hash, in builds of photos."""

    @property
    def path(self) -> str:
        """Where the picture was, below the place that was searched."""


def thumbnails(
    references: Iterable[Reference], photos: Iterable[Photo], size: int, crop: str
) -> dict[str, NDArray[np.uint8]]:
    """Pictures (size, size, 3) of references, by id.

    A reference is left out where its path leads to no picture any more, or to another one.

    Args:
        references: whose pictures are wanted.
        photos: what was built from, as `find` gives it.
        size: side of the thumbnails in pixels.
        crop: how a picture becomes a square.
    """
    there = {photo.name: photo for photo in photos}
    found = {}
    for one in references:
        if one.path not in there:
            continue
        try:
            content = read(there[one.path])
            # Copies have the ids abc, abc-2, abc-3.
            if hashlib.sha256(content).hexdigest().startswith(one.id.partition("-")[0]):
                found[one.id] = square(decode(content), size, crop)
        except PictureError:
            continue
    return found
