"""The oracle: exact k-nearest neighbours in float64 numpy.

Every artefact is compared with these functions and with the exact arithmetic of metric, vote and
head, see `choices`. They use neither Keras nor the graph, so they cannot share its mistakes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.heads.classify import winners as winners
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.metrics.cosine import unit as unit
from pocketknn.builder.choices.neighbors import Floats as Floats
from pocketknn.builder.choices.neighbors import Ints as Ints
from pocketknn.builder.choices.neighbors import Neighbors as Neighbors
from pocketknn.builder.choices.neighbors import rank as rank
from pocketknn.builder.choices.neighbors import shared as shared

from . import screening

_ROWS_AT_ONCE = 512  # queries in a block of scores
_REFERENCES_AT_ONCE = 1 << 12  # references in a block of scores
_SPARE = 8  # candidates beyond k, as the expanded Euclidean form may misorder some


def scores(
    queries: NDArray[np.floating], references: NDArray[np.floating], metric: str = "cosine"
) -> Floats:
    """Score of each reference (n, d) for each query (q, d), as (q, n): higher is nearer.

    Cosines, or the negative of a distance, computed from differences.
    """
    return METRICS[metric].scores(queries, references)


def leave_one_out(
    references: NDArray[np.floating],
    k: int,
    queries: NDArray[np.integer] | None = None,
    metric: str = "cosine",
) -> Neighbors:
    """The k nearest other references of each reference: none is its own neighbour.

    Args:
        references: (n, d), n at least 2.
        k: how many neighbours; at most n - 1 are found.
        queries: the query rows; all when None.
        metric: one of `METRICS`.
    """
    rows = np.arange(len(references)) if queries is None else np.asarray(queries)
    k = min(k, len(references) - 1)
    return search(references[rows], references, k, metric, own=rows)


def search(
    queries: NDArray[np.floating],
    references: NDArray[np.floating],
    k: int,
    metric: str = "cosine",
    own: Ints | None = None,
    among: Ints | None = None,
) -> Neighbors:
    """Exact k-NN of queries (q, d) among references (n, d), as computed in float64.

    If that would take long, float32 selects the candidates whose cosines are computed in float64.

    Args:
        queries: (q, d).
        references: (n, d).
        k: how many neighbours.
        metric: one of `METRICS`.
        own: (q,) each query's own row, which it must not find; None to allow all rows.
        among: (m,) the only rows that may be found, ascending; None for all rows. It cannot be
            combined with `own`.
    """
    if not is_screened(len(queries), references.size, metric):
        return _in_float64(queries, references, k, metric, own, among)
    hidden = None
    if among is not None:
        hidden = np.ones(len(references), np.bool_)
        hidden[among] = False
    found, open_ = screening.search(unit(queries), references, k, own, hidden)
    if len(open_):
        mine = None if own is None else own[open_]
        rest = _in_float64(queries[open_], references, k, metric, mine, among)
        for column, values in zip(found, rest, strict=True):
            column[open_] = values
    return found


def is_screened(queries: int, size: int, metric: str) -> bool:
    """Whether float32 selects what float64 decides, so that rounding does not affect the answers.

    Args:
        queries: how many.
        size: of the references: rows times columns.
        metric: one of `METRICS`.
    """
    return METRICS[metric].ANGULAR and queries * size >= screening.FROM


def _in_float64(
    queries: NDArray[np.floating],
    references: NDArray[np.floating],
    k: int,
    metric: str,
    own: Ints | None,
    among: Ints | None,
) -> Neighbors:
    """Like `search`, but convert the references block by block."""
    if among is not None:
        some = _in_float64(queries, references[among], k, metric, None, None)
        return Neighbors(some.scores, among[some.indices])
    n, by = len(references), METRICS[metric]
    expanded = by.SPARE > 0  # ranks by a value that is not the score
    # Subtracting the mean changes no distance and reduces the rounding of products.
    middle = references.mean(axis=0, dtype=np.float64) if expanded else 0.0
    given = unit(queries) if by.ANGULAR else np.asarray(queries, np.float64) - middle
    spare = min(k + _SPARE, n - (own is not None)) if expanded else k
    best = Neighbors(np.empty((len(given), 0)), np.empty((len(given), 0), np.int64))
    for first in range(0, n, _REFERENCES_AT_ONCE):
        rows = np.asarray(references[first : first + _REFERENCES_AT_ONCE], np.float64) - middle
        ranks = by.ranking(rows)
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
        if blocks:
            best = Neighbors(*map(np.concatenate, zip(*blocks, strict=True)))
    if not expanded:
        return best
    # The expanded form loses precision near zero: score the candidates by differences.
    candidates = np.sort(best.indices, axis=1)
    scores = np.empty(candidates.shape)
    for number, row in enumerate(candidates):
        rows = np.asarray(references[row], np.float64) - middle
        scores[number] = by.scores(given[number][None], rows)[0]
    nearest = rank(scores, k)
    return Neighbors(nearest.scores, np.take_along_axis(candidates, nearest.indices, axis=1))
