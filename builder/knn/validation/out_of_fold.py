"""Out-of-fold answers: for held-out references, from a fit without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors
from pocketknn.builder.errors import InputError
from pocketknn.builder.references.references import References

if TYPE_CHECKING:
    from pocketknn.builder.knn.metric_space import Space

# Neighbours and answers for queries (q, d) among some references.
Ask = Callable[[References, NDArray[np.floating]], tuple[Neighbors, Floats]]

_FEW = 3  # maximum pictures per class for holding out one at a time
_MOST = 10_000  # maximum references for refitting, which takes seconds
# Mistakes fall with this power of the photos per class: 0.1 to 0.4 on the development sets when
# going from one photo to two.
_LEARNING = 1 / 3


class OutOfFold(NamedTuple):
    """Held-out references, and the answers for them from the others.

    Attributes:
        queries: (q,) the held-out rows, in ascending order.
        found: their nearest others.
        answers: (q, T) values, or (q, classes) votes before any rejection.
        folds: number of folds; 0 for leave-one-out.
        fewer: expected mistakes with all references, relative to those here; 1 if it is not known
            that there would be fewer.
    """

    queries: Ints
    found: Neighbors
    answers: Floats
    folds: int
    fewer: float = 1.0

    def some(self, which: NDArray[np.bool_]) -> OutOfFold:
        """The queries selected by a mask (q,)."""
        found = Neighbors(self.found.scores[which], self.found.indices[which])
        return self._replace(queries=self.queries[which], found=found, answers=self.answers[which])


def one_of_each(space: Space, ask: Ask) -> OutOfFold | None:
    """Hold out one photo of every class at a time, if most classes have two or three.

    In the folds of a space, the class of a held-out photo has one photo fewer than the others. With
    few photos that matters: on the development sets it cost 10 to 35 points of accuracy with two
    photos per class, and 1 to 15 with three. Here all classes lose one photo, and every choice is
    made again.

    Args:
        space: references with labels, and with a `refit`.
        ask: fits the training references in the same way as all of them, and answers the queries.

    Returns:
        None if classes have more pictures or only one, or there are too many references.
    """
    refs, ids = space.references, space.references.label_ids
    each = _usual(ids, space.pictures)
    if not 1 < each <= _FEW or len(refs) > _MOST:
        return None
    parts = []
    for test in _parts(ids, space.pictures, each, space.seed):
        train = np.delete(np.arange(len(refs)), test)
        try:
            found, outputs = ask(refs.subset(train), refs.vectors[test])
        except InputError:  # the training part is too small for the spec
            return None
        parts.append((test, found.scores, train[found.indices], outputs))
    if not parts:
        return None
    k = min(scores.shape[1] for _, scores, _, _ in parts)
    tests, scores, indices, answers = zip(*parts, strict=True)
    order = np.argsort(np.concatenate(tests), kind="stable")
    return OutOfFold(
        queries=np.concatenate(tests)[order],
        found=Neighbors(
            np.concatenate([rows[:, :k] for rows in scores])[order],
            np.concatenate([rows[:, :k] for rows in indices])[order],
        ),
        answers=np.concatenate(answers)[order],
        folds=len(parts),
        fewer=float((1 - 1 / each) ** _LEARNING),
    )


def _usual(ids: Ints, pictures: Ints) -> int:
    """The number of pictures in the class of the median reference; classes of one are ignored."""
    classes = np.unique(np.stack([ids, pictures]), axis=1)[0]
    sizes = np.bincount(classes)[ids]
    return int(np.median(sizes[sizes > 1])) if (sizes > 1).any() else 1


def _parts(ids: Ints, pictures: Ints, parts: int, seed: int) -> list[Ints]:
    """Test rows of each fold: no picture is split, and no class loses its last one."""
    from .folds import dealt

    _, first, inverse = np.unique(pictures, return_index=True, return_inverse=True)
    part = np.zeros(len(first), np.int64)
    for number, places in enumerate(dealt(len(first), parts, seed, ids[first], None)):
        part[places] = number
    found = []
    for number in range(parts):
        out = part[inverse] == number
        left = np.bincount(ids[~out], minlength=int(ids.max()) + 1)
        found.append(np.flatnonzero(out & (left[ids] > 0)))
    return [test for test in found if len(test)]
