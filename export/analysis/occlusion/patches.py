"""The parts of a picture that are hidden, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.errors import InputError

PATCH, STEPS = 0.2, 12


class Place(NamedTuple):
    """A patch, by its row and column among the places."""

    row: int
    column: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Patches:
    """Squares that together cover a picture, in as many rows as columns.

    Attributes:
        size: side of the picture in pixels.
        side: of a patch.
        starts: (p,) first pixel of each row, and of each column, of patches.
    """

    size: int
    side: int
    starts: Ints

    @classmethod
    def of(cls, size: int, share: float = PATCH, steps: int = STEPS) -> Patches:
        """Patches over a picture.

        Args:
            size: side of the picture in pixels.
            share: side of a patch as a share of it.
            steps: how many patches there are in a row; fewer where there are fewer pixels.

        Raises:
            InputError: there are no such patches, or they leave gaps.
        """
        if not 0 < share < 1:
            raise InputError(f"a patch is a share of the side, above 0 and below 1, not {share}")
        if steps < 2:
            raise InputError(f"patches need at least 2 steps, not {steps}")
        side = min(max(1, round(share * size)), size - 1)
        starts = np.unique(np.rint(np.linspace(0, size - side, steps)).astype(np.int64))
        if np.diff(starts).max() > side:
            raise InputError(
                f"{steps} patches of {side} pixels leave gaps in {size} pixels; take more steps or"
                " larger patches"
            )
        return cls(size=size, side=side, starts=starts)

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Top and left of each patch, row by row."""
        return [(top, left) for top in self.starts.tolist() for left in self.starts.tolist()]

    def hidden(
        self, picture: NDArray[np.uint8], colour: NDArray[np.uint8], corners: list[tuple[int, int]]
    ) -> NDArray[np.uint8]:
        """The picture (S, S, 3) as often as there are corners, with a patch in colour at each."""
        pictures = np.repeat(picture[None], len(corners), axis=0)
        for one, (top, left) in zip(pictures, corners, strict=True):
            one[top : top + self.side, left : left + self.side] = colour
        return pictures

    def spread(self, values: Floats) -> Floats:
        """Values of patches (p, p) as values of pixels (S, S).

        A pixel has the value of the patch whose middle it is, or between them a share of each.
        """
        middles, pixels = self.starts + (self.side - 1) / 2, np.arange(self.size)
        down = np.stack([np.interp(pixels, middles, column) for column in values.T], axis=1)
        return np.stack([np.interp(pixels, middles, row) for row in down])
