"""What the accuracy would have looked like if photos that belong together answered for each other.

Each photo that was left out with others is asked again, under the same projection, found without
them all, but with those others among its neighbours: its near-copies, or the rest of its occasion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Ints, Neighbors, rank
from pocketknn.builder.knn import exact

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit
    from pocketknn.builder.knn.metric_space import Space

_MOST = 1000  # photos of one occasion that are asked
_LEAST = 0.01  # of accuracy; less is not worth a line


@dataclass(frozen=True, kw_only=True)
class Apart:
    """How much too good the accuracy would have looked.

    Attributes:
        photos: how many of the queries belong together with another one.
        gain: what the accuracy would have looked better by.
    """

    photos: int
    gain: float


def apart(fit: Fit) -> Apart | None:
    """Measure it; None where it is nothing, or no more than chance.

    By a sign test: more answers turn right than turn wrong, by two standard errors or more.
    """
    from pocketknn.builder.knn.fit import answers

    space, ids = fit.space, fit.references.label_ids
    if not (space.folds and fit.head.CLASSES and len(fit.references.labels) > 1):
        return None
    queries, found = space.others
    places, near = _answered_together(space, queries, found.first(fit.k))
    if not len(places):
        return None
    actual, found = ids[queries[places]], found.first(fit.k)
    alone = Neighbors(found.scores[places], found.indices[places])
    before, after = (winners(answers(fit.spec, space, one)) == actual for one in (alone, near))
    better, worse = int((after & ~before).sum()), int((before & ~after).sum())
    gain = (better - worse) / len(queries)
    if better - worse <= 2 * np.sqrt(better + worse) or gain < _LEAST:
        return None
    return Apart(photos=len(places), gain=gain)


def _answered_together(space: Space, queries: Ints, found: Neighbors) -> tuple[Ints, Neighbors]:
    """The places of queries that belong together with others, and their neighbours among all."""
    vectors, k = space.references.vectors, found.indices.shape[1]
    places, scores, indices = [], [], []
    for fold in space.folds:
        rows = fold.project(vectors[fold.test])
        numbers = space.together[fold.test]
        order = np.argsort(numbers, kind="stable")
        for some in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
            if len(some) < 2:
                continue
            some = some[:_MOST]
            among = exact.scores(rows[some], rows[some], space.metric)
            np.fill_diagonal(among, -np.inf)
            here = np.searchsorted(queries, fold.test[some])
            near = rank(np.hstack([found.scores[here], among]), k)
            mates = np.broadcast_to(fold.test[some], among.shape)
            every = np.hstack([found.indices[here], mates])
            places.append(here)
            scores.append(near.scores)
            indices.append(np.take_along_axis(every, near.indices, axis=1))
    if not places:
        return np.empty(0, np.int64), found.first(0)
    return np.concatenate(places), Neighbors(np.concatenate(scores), np.concatenate(indices))
