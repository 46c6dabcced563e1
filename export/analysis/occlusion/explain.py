"""What in a picture an answer hangs on: its parts are hidden, one after the other.

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014, section 4.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError
from pocketknn.builder.knn import exact as neighbors
from pocketknn.builder.knn.exact import Floats, Ints
from pocketknn.export.formats.protocol import Outputs
from pocketknn.export.manifest.artefact import Artefact
from pocketknn.export.manifest.metadata import Metadata, Row
from pocketknn.export.manifest.reopen import Scorer

PATCH, STEPS = 0.2, 12
SAME = 1e-6  # numbers that differ by less differ by rounding
_TOGETHER = 32


class Place(NamedTuple):
    """A patch, by its row and column among the places."""

    row: int
    column: int


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
        return [(int(top), int(left)) for top in self.starts for left in self.starts]

    def spread(self, values: Floats) -> Floats:
        """Values of patches (p, p) as values of pixels (S, S).

        A pixel has the value of the patch whose middle it is, or between them a share of each.
        """
        middles, pixels = self.starts + (self.side - 1) / 2, np.arange(self.size)
        down = np.stack([np.interp(pixels, middles, column) for column in values.T], axis=1)
        return np.stack([np.interp(pixels, middles, row) for row in down])


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


def explain(
    file: Artefact,
    table: Sequence[Row],
    picture: NDArray[np.uint8],
    patches: Patches,
    *,
    scorer: Scorer | None = None,
    progress: Callable[[int], object] = lambda done: None,
) -> Explanation:
    """Hide each part of a picture, and follow the winner's vote and the nearest one's score.

    What hides is the picture's mean colour. It takes away shape and colour alike and leaves the
    picture as bright as it was; a blurred patch would leave the colour, by which many photos are
    told apart.

    Args:
        file: the artefact.
        table: its references.
        picture: (S, S, 3), at the model's size.
        patches: its parts.
        scorer: gives exact scores of the nearest reference where it is no longer among the k
            nearest, whose scores are all that an artefact says. Without it, its score is bounded by
            that of the last of them.
        progress: called with how many pictures were run.
    """
    corners, colour = patches.corners, np.rint(picture.mean(axis=(0, 1))).astype(np.uint8)

    def hidden(some: Sequence[tuple[int, int]]) -> NDArray[np.uint8]:
        pictures = np.repeat(picture[None], len(some), axis=0)
        for one, (top, left) in zip(pictures, some, strict=True):
            one[top : top + patches.side, left : left + patches.side] = colour
        return pictures

    plain = file.run(picture[None])
    blocks = []
    for start in range(0, len(corners), _TOGETHER):
        blocks.append(file.run(hidden(corners[start : start + _TOGETHER])))
        progress(len(blocks[-1]["indices"]))
    answers = {name: np.concatenate([block[name] for block in blocks]) for name in plain}
    near = tuple(
        Near(
            index=index,
            id=str(table[index]["id"]),
            label=str(table[index]["label"]),
            path=str(table[index]["path"]),
            score=float(score),
        )
        for index, score in zip(plain["indices"][0].tolist(), plain["scores"][0], strict=True)
    )
    scores, bounded = _scores(answers, near[0].index)
    gone = np.flatnonzero(bounded)
    if scorer is not None and len(gone):
        exact = scorer(hidden([corners[place] for place in gone]), near[0].index)
        search = file.metadata.manifest["search"]
        if search["by"] == "exact" and search["references_precision"] == "float32":
            # What the file itself says holds: not above the last of its k.
            exact = np.minimum(exact, scores[gone])
        scores[gone] = exact
        bounded[:] = False
    label, others = _winners(plain, answers, file.metadata.labels)
    p = len(patches.starts)
    score = Occlusion(
        what="score",
        of=near[0].name,
        plain=near[0].score,
        hidden=scores.reshape(p, p),
        bounded=bounded.reshape(p, p),
    )
    return Explanation(
        picture=picture,
        patches=patches,
        colour=(int(colour[0]), int(colour[1]), int(colour[2])),
        label=label,
        maps=(*_answer_maps(plain, answers, file.metadata, p), score),
        near=near,
        left=len(gone),
        others=others,
    )


def _scores(answers: Outputs, index: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Score of a reference (q,), and where it is only bounded by the last neighbour's."""
    found = answers["indices"] == index
    bounded = ~found.any(axis=1)
    rank = np.where(bounded, found.shape[1] - 1, found.argmax(axis=1))
    scores = np.take_along_axis(answers["scores"].astype(np.float64), rank[:, None], axis=1)
    return scores[:, 0], bounded


def _winners(plain: Outputs, answers: Outputs, labels: list[str]) -> tuple[str, dict[str, int]]:
    if "probabilities" not in plain:
        return "", {}
    winner = labels[neighbors.winners(plain["probabilities"])[0]]
    won = Counter(labels[number] for number in neighbors.winners(answers["probabilities"]))
    return winner, {label: count for label, count in won.most_common() if label != winner}


def _answer_maps(plain: Outputs, answers: Outputs, metadata: Metadata, p: int) -> list[Occlusion]:
    """The vote of the winner, or the values."""
    followed = []
    if "probabilities" in plain:
        winner = int(neighbors.winners(plain["probabilities"])[0])
        followed = [("vote", metadata.labels[winner], "probabilities", winner)]
    elif "value" in plain:
        names = metadata.manifest["targets"]
        followed = [("value", name, "value", column) for column, name in enumerate(names)]
    return [
        Occlusion(
            what=what,
            of=of,
            plain=float(plain[output][0, column]),
            hidden=answers[output][:, column].astype(np.float64).reshape(p, p),
            bounded=np.zeros((p, p), np.bool_),
        )
        for what, of, output, column in followed
    ]


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
