"""The references that are needed to leave every leave-one-out answer as it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Ints, Neighbors
from pocketknn.builder.knn.evaluation import answers
from pocketknn.builder.knn.exact import Floats, leave_one_out, search
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.metric_space import Space
from pocketknn.builder.spec import Spec

_DEPTH = 128  # neighbours that are remembered of each reference


def choose(whole: Fit) -> Ints:
    """References with which every original one is answered as by all of them.

    The nearest others of each reference vote, whether it is kept itself or not. One after the
    other is taken away where no answer changes, those first that are the neighbours of few; and
    again, until none can be taken away. A class keeps one reference at least.
    """
    around = _Around(whole)
    labels = whole.references.label_ids
    sizes = np.bincount(labels)
    order = np.argsort([len(one) for one in around.asked_by], kind="stable")
    changed = True
    while changed:
        changed = False
        for row in order[around.there[order]]:
            if sizes[labels[row]] > 1 and around.without(int(row)):
                sizes[labels[row]] -= 1
                changed = True
    return np.flatnonzero(around.there)


class _Around:
    """The nearest others of each reference, among those that are still there."""

    def __init__(self, whole: Fit) -> None:
        self._spec: Spec = whole.spec
        self._space: Space = whole.space
        self._k = whole.k
        n = len(whole.references)
        self._known = leave_one_out(
            whole.space.rows, max(_DEPTH, self._k), None, whole.space.metric
        )
        self.there = np.ones(n, bool)
        self.asked_by: list[set[int]] = [set() for _ in range(n)]
        self._near = self._known.indices[:, : self._k].copy()
        for row, near in enumerate(self._near):
            for other in near:
                self.asked_by[other].add(row)
        self._wanted = self._answers(Neighbors(self._known.scores[:, : self._k], self._near))

    def without(self, row: int) -> bool:
        """Take a reference away, unless an answer would change or too few would be left."""
        if self.there.sum() <= self._k + 1:
            return False
        self.there[row] = False
        asked = np.array(sorted(self.asked_by[row]), np.int64)
        if len(asked):
            found = self._nearest(asked, row)
            if (self._answers(found) != self._wanted[asked]).any():
                self.there[row] = True
                return False
            for one, near in zip(asked, found.indices, strict=True):
                for other in self._near[one]:
                    self.asked_by[other].discard(int(one))
                for other in near:
                    self.asked_by[other].add(int(one))
            self._near[asked] = found.indices
        return True

    def _answers(self, found: Neighbors) -> Ints:
        return winners(answers(self._spec, self._space, str(self._spec.head), found))

    def _nearest(self, asked: Ints, row: int) -> Neighbors:
        left = self._left(asked)
        if (left.sum(axis=1) < self._k).any():
            self._look_again(row)
            left = self._left(asked)
        # A stable sort puts those that are there first and leaves them in their order.
        places = np.argsort(~left, axis=1, kind="stable")[:, : self._k]
        scores: Floats = np.take_along_axis(self._known.scores[asked], places, axis=1)
        return Neighbors(scores, np.take_along_axis(self._known.indices[asked], places, axis=1))

    def _left(self, asked: Ints) -> NDArray[np.bool_]:
        indices = self._known.indices[asked]
        left: NDArray[np.bool_] = self.there[indices] & (indices != asked[:, None])
        return left

    def _look_again(self, row: int) -> None:
        """Find the nearest of all anew, where those that were remembered have gone.

        The row that is away on trial may come back, so it is found too.
        """
        still = self.there.copy()
        still[row] = True
        rows, left = self._space.rows, np.flatnonzero(still)
        depth = min(max(_DEPTH, self._k) + 2, len(left))  # with itself and the row on trial
        found = search(rows, rows[left], depth, self._space.metric)
        self._known = Neighbors(found.scores, left[found.indices])
