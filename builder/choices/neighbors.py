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


class Running:
    """The m best scores of each query, from scores (q, n) that arrive in blocks of columns.

    A later block is compared only with the lowest of the best so far, which few scores exceed.
    """

    def __init__(self, m: int) -> None:
        """Set how many scores to keep for each query."""
        self._m = m
        self._best: tuple[NDArray[np.float32], Ints] | None = None

    def add(self, scores: NDArray[np.float32], first: int) -> None:
        """Add the scores of the rows from `first` on."""
        columns: Ints = np.broadcast_to(np.arange(first, first + scores.shape[1]), scores.shape)
        if self._best is not None:
            best, rows = self._best
            if best.shape[1] == self._m:
                scores, columns = _above(scores, best.min(axis=1))
                columns += first
            scores = np.concatenate([best, scores], axis=1)
            columns = np.concatenate([rows, columns], axis=1)
        if scores.shape[1] > self._m:
            kept = np.argpartition(-scores, self._m - 1, axis=1)[:, : self._m]
            kept.sort(axis=1)
            scores = np.take_along_axis(scores, kept, axis=1)
            columns = np.take_along_axis(columns, kept, axis=1)
        self._best = scores, columns

    def ranked(self) -> tuple[NDArray[np.float32], Ints]:
        """The best scores (q, m), descending, and their rows; ties go to the lower row."""
        assert self._best is not None
        scores, rows = self._best
        order = np.argsort(-scores, axis=1, kind="stable")
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _above(
    scores: NDArray[np.float32], limits: NDArray[np.float32]
) -> tuple[NDArray[np.float32], Ints]:
    """The scores above each row's limit and their columns, padded with -inf."""
    at, columns = np.divmod(np.flatnonzero(scores > limits[:, None]), scores.shape[1])
    counts = np.bincount(at, minlength=len(scores))
    place = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
    values = np.full((len(scores), counts.max(initial=0)), -np.inf, np.float32)
    numbers = np.zeros(values.shape, np.int64)
    values[at, place], numbers[at, place] = scores[at, columns], columns
    return values, numbers
