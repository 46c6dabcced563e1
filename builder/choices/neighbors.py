"""The nearest references of a query."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Neighbors(NamedTuple):
    """The k nearest references of each query, the nearest first; ties go to the lower index.

    Attributes:
        scores: (q, k) float64, higher is nearer: cosines, or negative distances.
        indices: (q, k) row numbers of the references.
    """

    scores: Floats
    indices: Ints

    def first(self, k: int) -> Neighbors:
        """The nearest k of them."""
        return Neighbors(self.scores[:, :k], self.indices[:, :k])


def rank(scores: Floats, k: int) -> Neighbors:
    """The k best of each row of (q, n) scores; ties go to the lower index."""
    n = scores.shape[1]
    indices = np.empty((len(scores), k), np.int64)
    lowest = np.partition(scores, n - k, axis=1)[:, n - k]
    for row, values in enumerate(scores):
        near = np.flatnonzero(values >= lowest[row])
        indices[row] = near[np.argsort(-values[near], kind="stable")[:k]]
    return Neighbors(np.take_along_axis(scores, indices, axis=1), indices)


def shared(wanted: NDArray[np.integer], found: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which of the wanted neighbours (q, k) were found: (q, k). Its mean is the recall."""
    among: NDArray[np.bool_] = (wanted[:, :, None] == found[:, None, :]).any(axis=2)
    return among
