"""What in a picture an answer hangs on: what becomes of its numbers while parts are hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .patches import Place

if TYPE_CHECKING:
    from pocketknn.builder.choices.neighbors import Floats

    from .patches import Patches

SAME = 1e-6  # numbers that differ by less differ by rounding


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
    def worst(self) -> Place | None:
        """The patch that takes most away; None where none takes anything."""
        return _largest(self.loss)

    @property
    def best(self) -> Place | None:
        """The patch that adds most; None where none adds anything."""
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


def _largest(gains: Floats) -> Place | None:
    """Where the largest is; of several, votes being few, the one whose surroundings gain most."""
    from scipy.ndimage import uniform_filter

    if gains.max() <= SAME:
        return None
    around = uniform_filter(gains, 3, mode="nearest")
    row, column = divmod(
        int(np.where(gains >= gains.max() - SAME, around, -np.inf).argmax()), len(gains)
    )
    return Place(row, column)
