"""What in a picture an answer hangs on: its numbers while one part after the other is hidden."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.errors import InputError

PATCH, STEPS = 0.2, 12
_MOST_STEPS = 64  # thousands of pictures, and patches a few pixels apart
SAME = 1e-6  # numbers that differ by less differ by rounding


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
        check(share, steps)
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


def check(share: float, steps: int) -> None:
    """Refuse patches that no picture has, before a file is loaded.

    Raises:
        InputError: the share or the steps are none of those that `Patches.of` takes.
    """
    if not 0 < share < 1:
        raise InputError(f"a patch is a share of the side, above 0 and below 1, not {share}")
    if not 2 <= steps <= _MOST_STEPS:
        raise InputError(f"patches take 2 to {_MOST_STEPS} steps, not {steps}")


@dataclass(frozen=True, kw_only=True)
class Near:
    """A neighbour of the picture where nothing is hidden.

    Attributes:
        index: row in references.csv.
        id: of the reference.
        label: its class; "" without classes.
        path: its picture; "" where there is none.
        score: higher is nearer.
    """

    index: int
    id: str
    label: str
    path: str
    score: float

    @property
    def name(self) -> str:
        """What people call it."""
        return self.path or self.id


@dataclass(frozen=True, kw_only=True, eq=False)
class Occlusion:
    """What one number of an answer becomes while a part of the picture is hidden.

    Attributes:
        what: `vote`, `score` or `value`.
        of: the class, the reference or the target that the number belongs to.
        plain: the number where nothing is hidden.
        hidden: (p, p) the number where the patch in that row and column is hidden.
        bounded: (p, p) where `hidden` is only the most that the number can be: the reference is no
            longer among the k nearest, and nothing else says its score.
    """

    what: str
    of: str
    plain: float
    hidden: Floats
    bounded: NDArray[np.bool_]

    @property
    def loss(self) -> Floats:
        """What hiding each patch takes away (p, p); negative where it adds."""
        return self.plain - self.hidden

    @property
    def worst(self) -> tuple[int, int] | None:
        """Row and column of the patch that takes most away; None where none takes anything."""
        return _largest(self.loss)

    @property
    def best(self) -> tuple[int, int] | None:
        """Row and column of the patch that adds most; None where none adds anything."""
        return _largest(-self.loss)


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """One answer, and what became of it while parts of the picture were hidden.

    Attributes:
        picture: (S, S, 3) uint8, as the model saw it.
        patches: the parts that were hidden.
        colour: what hid them: the mean of the picture.
        label: the class that won; "" without a vote.
        maps: the winner's vote, where there is one, or the values; last the nearest neighbour's
            score.
        near: the k neighbours.
        left: how many patches take the nearest reference out of the k nearest.
        others: how many patches give the picture to another class, by class.
    """

    picture: NDArray[np.uint8]
    patches: Patches
    colour: tuple[int, int, int]
    label: str
    maps: tuple[Occlusion, ...]
    near: tuple[Near, ...]
    left: int
    others: dict[str, int]


def _largest(gains: Floats) -> tuple[int, int] | None:
    """Where the largest is; of several, votes being few, the one whose surroundings gain most."""
    from scipy.ndimage import uniform_filter

    if gains.max() <= SAME:
        return None
    around = uniform_filter(gains, 3, mode="nearest")
    most = np.where(gains >= gains.max() - SAME, around, -np.inf).argmax()
    return divmod(int(most), len(gains))
