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

# Up to this cosine distance a neighbour is the query itself, whatever the rounding.
EXACT_HIT = {"float32": 1e-6, "float16": 1e-3}
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


def vote(
    found: Neighbors,
    label_ids: NDArray[np.integer],
    classes: int,
    *,
    by: str = "uniform",
    balanced: bool = False,
    exact_hit: float = EXACT_HIT["float32"],
) -> Floats:
    """Share of each class in the vote of the neighbours: (q, classes); rows sum to 1.

    Args:
        found: scores and indices (q, k).
        label_ids: (n,) class number of each reference.
        classes: how many classes there are.
        by: `uniform`, or `distance`: each neighbour counts one over its cosine distance, and where
            there are exact hits only these count, as in scikit-learn's `weights="distance"`.
        balanced: divide the votes of a class by its share of the references.
        exact_hit: the distance up to which a neighbour is an exact hit.
    """
    weights = np.ones(found.indices.shape)
    if by == "distance":
        distances = np.maximum(1 - found.scores, 0)
        hits = distances <= exact_hit
        inverse = 1 / np.maximum(distances, exact_hit)
        weights = np.where(hits.any(axis=1, keepdims=True), hits, inverse)
    votes = np.zeros((len(weights), classes))
    rows = np.arange(len(weights))[:, None]
    np.add.at(votes, (rows, label_ids[found.indices]), weights)
    if balanced:
        votes *= class_weights(label_ids, classes)
    shares: Floats = votes / votes.sum(axis=1, keepdims=True)
    return shares


def class_weights(label_ids: NDArray[np.integer], classes: int) -> Floats:
    """What makes classes of unequal size count the same: n / (classes × size), 0 for an empty one.

    The same numbers as scikit-learn's `class_weight="balanced"`.
    """
    sizes = np.bincount(label_ids, minlength=classes)
    found: Floats = np.divide(
        len(label_ids), classes * sizes, out=np.zeros(classes), where=sizes > 0
    )
    return found


def winners(votes: NDArray[Any]) -> Ints:
    """Class number with the largest vote (q, classes); ties go to the lower number.

    Votes are compared to six decimals, so that rounding decides no tie.
    """
    best: Ints = np.asarray(votes).round(6).argmax(axis=1)
    return best


def _stack(blocks: list[Neighbors]) -> Neighbors:
    return Neighbors(
        np.concatenate([block.scores for block in blocks]),
        np.concatenate([block.indices for block in blocks]),
    )
