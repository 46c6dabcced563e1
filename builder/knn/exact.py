"""The oracle: exact k-nearest neighbours, their vote and their mean, in float64 numpy.

Every artefact is compared with these functions. They import neither Keras nor the graph, so that a
mistake there cannot be made here as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Each metric with its order p among Minkowski's; cosine has none.
METRICS = {"cosine": 0, "euclidean": 2, "manhattan": 1, "minkowski": 3}
# Up to this cosine distance a neighbour is the query itself, whatever the rounding.
EXACT_HIT = {"float32": 1e-6, "float16": 1e-3, "int8": 1e-2}
_ROWS_AT_ONCE = 512  # queries, and
_REFERENCES_AT_ONCE = 1 << 12  # references, whose scores are held at once
_SPARE = 8  # candidates beyond k, for what the expanded Euclidean form puts out of order


class Neighbors(NamedTuple):
    """The k nearest references of each query, the nearest first; ties go to the lower index.

    Attributes:
        scores: (q, k) float64, higher is nearer: cosines, or negative distances.
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
    found, given = np.empty((len(queries), len(references))), unit(queries)
    for start in range(0, len(references), _REFERENCES_AT_ONCE):
        block = slice(start, start + _REFERENCES_AT_ONCE)
        found[:, block] = given @ unit(references[block]).T
    return found


def rank(scores: Floats, k: int) -> Neighbors:
    """The k best of each row of (q, n) scores; ties go to the lower index."""
    n = scores.shape[1]
    indices = np.empty((len(scores), k), np.int64)
    least = np.partition(scores, n - k, axis=1)[:, n - k]
    for row, values in enumerate(scores):
        near = np.flatnonzero(values >= least[row])
        indices[row] = near[np.argsort(-values[near], kind="stable")[:k]]
    return Neighbors(np.take_along_axis(scores, indices, axis=1), indices)


def scores(
    queries: NDArray[np.floating], references: NDArray[np.floating], metric: str = "cosine"
) -> Floats:
    """Score of each reference (n, d) for each query (q, d), as (q, n): higher is nearer.

    Cosines, or the negative of a distance, computed from differences.
    """
    if metric == "cosine":
        return cosines(queries, references)
    from scipy.spatial.distance import cdist

    given = (np.asarray(queries, np.float64), np.asarray(references, np.float64))
    names = {1: "cityblock", 2: "euclidean"}
    order = METRICS[metric]
    found: Floats = -(
        cdist(*given, names[order]) if order in names else cdist(*given, "minkowski", p=order)
    )
    return found


def search(
    queries: NDArray[np.floating],
    references: NDArray[np.floating],
    k: int,
    metric: str = "cosine",
) -> Neighbors:
    """Exact k-NN of queries (q, d) among references (n, d)."""
    return _search(queries, references, k, metric, None)


def leave_one_out(
    references: NDArray[np.floating],
    k: int,
    queries: NDArray[np.integer] | None = None,
    metric: str = "cosine",
) -> Neighbors:
    """The k nearest other references of each reference: none is its own neighbour.

    Args:
        references: (n, d), n at least 2.
        k: how many neighbours; n - 1 where there are no more.
        queries: the rows to ask for; all when None.
        metric: one of `METRICS`.
    """
    asked = np.arange(len(references)) if queries is None else np.asarray(queries)
    k = min(k, len(references) - 1)
    return _search(references[asked], references, k, metric, asked)


def _search(
    queries: NDArray[np.floating],
    references: NDArray[np.floating],
    k: int,
    metric: str,
    own: Ints | None,
) -> Neighbors:
    """The k best of all references, which are made float64 a block at a time.

    Args:
        queries: (q, d).
        references: (n, d).
        k: how many.
        metric: one of `METRICS`.
        own: (q,) the row that each query must not find, or None.
    """
    n = len(references)
    # Distances do not see that the middle is moved, and products are rounded less near it.
    middle = references.mean(axis=0, dtype=np.float64) if metric == "euclidean" else 0.0
    given = unit(queries) if metric == "cosine" else np.asarray(queries, np.float64) - middle
    spare = min(k + _SPARE, n - (own is not None)) if metric == "euclidean" else k
    best = Neighbors(np.empty((len(given), 0)), np.empty((len(given), 0), np.int64))
    for first in range(0, n, _REFERENCES_AT_ONCE):
        rows = np.asarray(references[first : first + _REFERENCES_AT_ONCE], np.float64) - middle
        ranks = _ranking(rows, metric)
        blocks = []
        for start in range(0, len(given), _ROWS_AT_ONCE):
            found = ranks(given[start : start + _ROWS_AT_ONCE])
            if own is not None:
                mine = own[start : start + _ROWS_AT_ONCE] - first
                here = (mine >= 0) & (mine < len(rows))
                found[here, mine[here]] = -np.inf
            before = best.scores[start : start + _ROWS_AT_ONCE]
            both = rank(np.concatenate([before, found], axis=1), min(spare, first + len(rows)))
            numbers = np.broadcast_to(np.arange(first, first + len(rows)), found.shape)
            known = np.concatenate([best.indices[start : start + _ROWS_AT_ONCE], numbers], axis=1)
            blocks.append(Neighbors(both.scores, np.take_along_axis(known, both.indices, axis=1)))
        best = _stack(blocks) if blocks else best
    if metric != "euclidean":
        return best
    # What selected is no distance, and has lost its digits near zero.
    candidates = np.sort(best.indices, axis=1)
    scores = np.empty(candidates.shape)
    for number, row in enumerate(candidates):
        differences = given[number] - (np.asarray(references[row], np.float64) - middle)
        scores[number] = -np.sqrt((differences**2).sum(axis=1))
    nearest = rank(scores, k)
    return Neighbors(nearest.scores, np.take_along_axis(candidates, nearest.indices, axis=1))


def _ranking(rows: Floats, metric: str) -> Callable[[Floats], Floats]:
    """A function of queries (q, d) to numbers (q, n) that are the higher the nearer a row is."""
    if metric == "cosine":
        units = unit(rows).T
        return lambda queries: np.asarray(queries @ units)
    if metric == "euclidean":
        # Differences to all rows would take d times as long as this product.
        half = (rows * rows).sum(axis=1) / 2
        return lambda queries: np.asarray(queries @ rows.T - half)
    return lambda queries: scores(queries, rows, metric)


def vote(
    found: Neighbors,
    label_ids: NDArray[np.integer],
    classes: int,
    *,
    by: str = "uniform",
    balanced: bool = False,
    metric: str = "cosine",
    exact_hit: float = EXACT_HIT["float32"],
    temperature: float = 1.0,
) -> Floats:
    """Share of each class in the vote of the neighbours: (q, classes); rows sum to 1.

    Args:
        found: scores and indices (q, k).
        label_ids: (n,) class number of each reference.
        classes: how many classes there are.
        by: as in `weights`.
        balanced: divide the votes of a class by its share of the references.
        metric: what the scores are.
        exact_hit: as in `weights`.
        temperature: as in `weights`.
    """
    counts = weights(found.scores, by, metric, exact_hit, temperature)
    votes = np.zeros((len(counts), classes))
    rows = np.arange(len(counts))[:, None]
    np.add.at(votes, (rows, label_ids[found.indices]), counts)
    if balanced:
        votes *= class_weights(label_ids, classes)
    shares: Floats = votes / votes.sum(axis=1, keepdims=True)
    return shares


def mean(
    found: Neighbors,
    targets: NDArray[np.floating],
    *,
    by: str = "uniform",
    metric: str = "cosine",
    exact_hit: float = EXACT_HIT["float32"],
) -> Floats:
    """Weighted mean of the neighbours' targets (n, T): (q, T)."""
    counts = weights(found.scores, by, metric, exact_hit)
    near = targets.astype(np.float64)[found.indices]
    means: Floats = (near * counts[..., None]).sum(axis=1) / counts.sum(axis=1, keepdims=True)
    return means


def weights(
    scores: Floats, by: str, metric: str, exact_hit: float, temperature: float = 1.0
) -> Floats:
    """How much each neighbour counts (q, k).

    Args:
        scores: (q, k) of the neighbours.
        by: `uniform`; `distance`, one over the distance, as scikit-learn's `weights="distance"`; or
            `soft`, which is in proportion to exp(score / temperature). With the last two, where
            there are exact hits only these count.
        metric: what the scores are.
        exact_hit: the distance up to which a neighbour is an exact hit.
        temperature: of a soft vote, as `sharpness` takes it.
    """
    if by == "uniform":
        return np.ones(scores.shape)
    distances = np.maximum(1 - scores if metric == "cosine" else -scores, 0)
    hits = distances <= exact_hit
    if by not in ("soft", "distance"):
        raise ValueError(f"unknown vote {by!r}")
    if by == "soft":
        # Relative to the nearest, whose weight is 1: nothing overflows.
        others = np.exp((scores - scores.max(axis=1, keepdims=True)) * sharpness(temperature))
    else:
        others = 1 / np.maximum(distances, exact_hit)
    return np.where(hits.any(axis=1, keepdims=True), hits, others)


def sharpness(temperature: float) -> float:
    """One over the temperature, as the graphs hold it: a float32."""
    return float(np.float32(1 / temperature))


def with_unknown(votes: Floats, scores: Floats, threshold: float) -> Floats:
    """The votes (q, C) with a last class that has all of them where nothing is near enough.

    Args:
        votes: shares of the classes.
        scores: (q, k) of the neighbours, the nearest first.
        threshold: the least score of the nearest neighbour of what is known, as float32.
    """
    known = (scores[:, :1] >= np.float32(threshold)).astype(np.float64)
    return np.concatenate([votes * known, 1 - known], axis=1)


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
