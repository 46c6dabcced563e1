"""Photos that can be read, in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from pocketknn.builder.errors import InputError

from .photo import Photo, PictureError

T = TypeVar("T")


def readable(
    photos: Sequence[Photo], read: Callable[[Photo], T], order: Iterable[int] | None = None
) -> Iterator[tuple[int, T]]:
    """The places of photos, and what was read of them; those that cannot be read are passed over.

    Args:
        photos: the photos.
        read: what to make of one; raises PictureError where it cannot.
        order: their places, in the order in which to read them; as they are when None.

    Raises:
        InputError: none of them can be read.
    """
    found = False
    for place in range(len(photos)) if order is None else order:
        try:
            made = read(photos[place])
        except PictureError:
            continue
        found = True
        yield place, made
    if not found:
        raise InputError(f"none of the {len(photos)} files is a picture that can be read")


def drawn(
    photos: Sequence[Photo], read: Callable[[Photo], T], seed: int
) -> Iterator[tuple[int, T]]:
    """As `readable`, in an order that the seed draws."""
    order = np.random.default_rng(seed).permutation(len(photos))
    return readable(photos, read, map(int, order))
