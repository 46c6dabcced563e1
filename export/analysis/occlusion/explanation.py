"""Which parts of a picture decide an answer: the answer's numbers with each part hidden in turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.errors import InputError

PATCH, STEPS = 0.2, 12
_MOST_STEPS = 64  # already thousands of pictures, with patches a few pixels apart
SAME = 1e-6  # smaller differences are rounding


@dataclass(frozen=True, kw_only=True, eq=False)
class Patches:
    """Squares that together cover a picture, in as many rows as columns.

    Attributes:
        size: side of the picture in pixels.
        side: side of a patch in pixels.
        starts: (p,) first pixel of each row of patches; columns start at the same pixels.
    """

    size: int
    side: int
    starts: Ints

    @classmethod
    def of(cls, size: int, share: float = PATCH, steps: int = STEPS) -> Patches:
        """Patches over a picture.

        Args:
            size: side of the picture in pixels.
            share: side of a patch as a share of the picture's side.
            steps: number of patches in a row; fewer if there are fewer pixels.

        Raises:
            InputError: a number is out of range, or the patches leave gaps.
        """
        check(share, steps)
        side = min(max(1, round(share * size)), size - 1)
        starts = np.unique(np.rint(np.linspace(0, size - side, steps)).astype(np.int64))
        if np.diff(starts).max() > side:
            raise InputError(
                f"{steps} patches of {side} pixels leave gaps in {size} pixels; use more steps or"
                " larger patches",
                "patches-leave-gaps",
            )
        return cls(size=size, side=side, starts=starts)

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Top and left of each patch, row by row."""
        return [(top, left) for top in self.starts.tolist() for left in self.starts.tolist()]

    def hidden(
        self, picture: NDArray[np.uint8], colour: NDArray[np.uint8], corners: list[tuple[int, int]]
    ) -> NDArray[np.uint8]:
        """One copy of the picture (S, S, 3) per corner, with a coloured patch there."""
        pictures = np.repeat(picture[None], len(corners), axis=0)
        for one, (top, left) in zip(pictures, corners, strict=True):
            one[top : top + self.side, left : left + self.side] = colour
        return pictures

    def spread(self, values: Floats) -> Floats:
        """Interpolate values of patches (p, p) to values of pixels (S, S).

        The pixel at the middle of a patch has the patch's value; between middles, interpolation is
        linear.
        """
        middles, pixels = self.starts + (self.side - 1) / 2, np.arange(self.size)
        down = np.stack([np.interp(pixels, middles, column) for column in values.T], axis=1)
        return np.stack([np.interp(pixels, middles, row) for row in down])


def check(share: float, steps: int) -> None:
    """Check the arguments of `Patches.of` before a file is loaded.

    Raises:
        InputError: the share or the steps are out of range.
    """
    if not 0 < share < 1:
        raise InputError(
            f"a patch is a share of the side, above 0 and below 1, not {share}",
            "patch-out-of-range",
        )
    if not 2 <= steps <= _MOST_STEPS:
        raise InputError(
            f"the number of steps must be 2 to {_MOST_STEPS}, not {steps}", "steps-out-of-range"
        )


@dataclass(frozen=True, kw_only=True)
class Near:
    """A neighbour of the unhidden picture.

    Attributes:
        index: row in references.csv.
        id: id of the reference.
        label: its class; "" without classes.
        path: its picture; "" if there is none.
        score: higher is nearer.
    """

    index: int
    id: str
    label: str
    path: str
    score: float

    @property
    def name(self) -> str:
        """Its display name."""
        return self.path or self.id


@dataclass(frozen=True, kw_only=True, eq=False)
class Occlusion:
    """How one number of an answer changes while a part of the picture is hidden.

    Attributes:
        what: `vote`, `score` or `value`.
        of: the class, reference or target that the number belongs to.
        plain: the number when nothing is hidden.
        hidden: (p, p) the number when the patch in that row and column is hidden.
        bounded: (p, p) where `hidden` is only an upper bound: the reference is no longer among the
            k nearest, so its score is unknown.
    """

    what: str
    of: str
    plain: float
    hidden: Floats
    bounded: NDArray[np.bool_]

    @property
    def loss(self) -> Floats:
        """The loss from hiding each patch (p, p); negative if the number rises."""
        return self.plain - self.hidden

    @property
    def worst(self) -> tuple[int, int] | None:
        """Row and column of the patch with the largest loss; None if there is no loss."""
        return _largest(self.loss)

    @property
    def best(self) -> tuple[int, int] | None:
        """Row and column of the patch with the largest gain; None if there is no gain."""
        return _largest(-self.loss)


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """One answer, and how it changed while parts of the picture were hidden.

    Attributes:
        picture: (S, S, 3) uint8, as the model saw it.
        patches: the parts that were hidden.
        colour: the colour that hid them: the mean of the picture.
        label: the class that won; "" without a vote.
        maps: first the winner's vote or, with targets, each value; last the nearest neighbour's
            score.
        near: the k neighbours.
        left: how many patches, when hidden, remove the nearest reference from the k nearest.
        others: how many patches, when hidden, make another class win, by class.
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
    """Row and column of the largest gain; None if there is no gain.

    Ties, which are common with few votes, go to the patch with the highest mean around it.
    """
    from scipy.ndimage import uniform_filter

    if gains.max() <= SAME:
        return None
    around = uniform_filter(gains, 3, mode="nearest")
    most = np.where(gains >= gains.max() - SAME, around, -np.inf).argmax()
    return divmod(int(most), len(gains))
