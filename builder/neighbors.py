"""The oracle: exact k-nearest neighbours and their vote, in float64 numpy.

Every artefact is compared with these functions. They import neither Keras nor the graph, so that a
mistake there cannot be made here as well.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ROWS_AT_ONCE = 512  # bounds the score matrix to 512 × N float64


class Neighbors(NamedTuple):
    """The k nearest references of each query, the nearest first; ties go to the lower index.

    Attributes:
        scores: (q, k) float64 cosines.
        indices: (q, k) row numbers of the references.
    """

    scores: Floats
    indices: Ints


def unit(vectors: NDArray[np.floating]) -> Floats:
    """Scale each row of (n, d) to length 1 in float64; a row of zeros stays zeros."""
    rows = np.asarray(vectors, np.float64)
    # Dividing by the largest component first keeps the squares in range, whatever the scale.
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0)
    length = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    found: Floats = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return found


def cosines(queries: NDArray[np.floating], references: NDArray[np.floating]) -> Floats:
    """Cosine of each query (q, d) to each reference (n, d), as (q, n) float64."""
    return unit(queries) @ unit(references).T


def rank(scores: Floats, k: int) -> Neighbors:
    """The k best of each row of (q, n) scores; ties go to the lower index."""
    n = scores.shape[1]
    indices = np.empty((len(scores), k), np.int64)
    least = np.partition(scores, n - k, axis=1)[:, n - k]
    for row, values in enumerate(scores):
        near = np.flatnonzero(values >= least[row])
        indices[row] = near[np.argsort(-values[near], kind="stable")[:k]]
    return Neighbors(np.take_along_axis(scores, indices, axis=1), indices)


def search(queries: NDArray[np.floating], references: NDArray[np.floating], k: int) -> Neighbors:
    """Exact k-NN by cosine of queries (q, d) among references (n, d)."""
    rows = unit(references)
    blocks = [
        rank(unit(queries[start : start + _ROWS_AT_ONCE]) @ rows.T, k)
        for start in range(0, len(queries), _ROWS_AT_ONCE)
    ]
    return _stack(blocks)


def leave_one_out(
    references: NDArray[np.floating], k: int, queries: NDArray[np.integer] | None = None
) -> Neighbors:
    """The k nearest other references of each reference: none is its own neighbour.

    Args:
        references: (n, d), n at least 2.
        k: how many neighbours; n - 1 where there are no more.
        queries: the rows to ask for; all when None.
    """
    rows = unit(references)
    asked = np.arange(len(rows)) if queries is None else np.asarray(queries)
    blocks = []
    for start in range(0, len(asked), _ROWS_AT_ONCE):
        own = asked[start : start + _ROWS_AT_ONCE]
        scores = rows[own] @ rows.T
        scores[np.arange(len(own)), own] = -np.inf
        blocks.append(rank(scores, min(k, len(rows) - 1)))
    return _stack(blocks)


def vote(indices: NDArray[np.integer], label_ids: NDArray[np.integer], classes: int) -> Floats:
    """Share of each class among the neighbours: (q, k) indices to (q, classes); rows sum to 1.

    Args:
        indices: (q, k) row numbers of the references.
        label_ids: (n,) class number of each reference.
        classes: how many classes there are.
    """
    shares: Floats = np.eye(classes)[np.asarray(label_ids)[indices]].mean(axis=1)
    return shares


def winners(votes: NDArray[Any]) -> Ints:
    """Class number with the largest vote (q, classes); ties go to the lower number.

    Votes are shares of k, so they are compared to four decimals: rounding decides no tie.
    """
    best: Ints = np.asarray(votes).round(4).argmax(axis=1)
    return best


def _stack(blocks: list[Neighbors]) -> Neighbors:
    return Neighbors(
        np.concatenate([block.scores for block in blocks]),
        np.concatenate([block.indices for block in blocks]),
    )
