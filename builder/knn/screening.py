"""Exact k-NN by cosine among very many references: float32 selects, float64 decides.

The error of a float32 product of d values is less than about d / 2**24 times both lengths, whatever
the order of the sum (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1). So the k
nearest are among the rows whose float32 score is at most twice that error below the k-th best: only
these are scored in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors, Running

Bools = NDArray[np.bool_]

FROM = 1e10  # multiplications from which this pays; smaller searches take seconds in float64
SPARE = 28  # rows beyond k that may lie within rounding of the k-th best
_QUERIES_AT_ONCE = 1 << 12
_ROWS_AT_ONCE = 1 << 14
_SCORES_AT_ONCE = 1 << 22  # in a block, 4 bytes each
_LENGTHS_AT_ONCE = 1 << 8  # rows that fit into the cache in float64
_UNIT = 2.0**-24  # relative rounding error of float32
_LONGEST = 1e15  # no product of such lengths overflows in float32, nor underflows if they are short


def search(
    queries: Floats,
    references: NDArray[np.floating],
    k: int,
    own: Ints | None = None,
    hidden: Bools | None = None,
) -> tuple[Neighbors, Ints]:
    """The k nearest references (n, d) of unit queries (q, d).

    Ties go to the lower index: rows that are equal have equal scores.

    Args:
        queries: (q, d) of unit length.
        references: (n, d), of any lengths.
        k: how many.
        own: (q,) each query's own row, which it must not find; None to allow all rows.
        hidden: (n,) whether a row must not be found by any query; None to allow all rows.

    Returns:
        The neighbours, and the queries (m,) whose neighbours are uncertain, because more rows than
        were kept lie within rounding of the k-th best, as happens with many copies of a picture.
    """
    lengths = _lengths(references)
    if lengths is None:
        nothing = np.zeros((len(queries), k))
        return Neighbors(nothing, nothing.astype(np.int64)), np.arange(len(queries))
    found, unsettled = [], []
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        block = slice(start, start + _QUERIES_AT_ONCE)
        mine = None if own is None else own[block]
        one, open_ = _block(queries[block], references, lengths, k, mine, hidden)
        found.append(one)
        unsettled.append(start + open_)
    scores, indices = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return Neighbors(scores, indices), np.concatenate(unsettled)


def _block(
    queries: Floats,
    references: NDArray[np.floating],
    lengths: Floats,
    k: int,
    own: Ints | None,
    hidden: Bools | None,
) -> tuple[Neighbors, Ints]:
    n, d = references.shape
    near = _selected(queries, references, lengths, min(k + SPARE, n), own, hidden)
    # Rounding of query, row, product, and division by the length; the factor covers higher orders.
    error = 1.01 * (d + 8) * _UNIT
    within = near.scores[:, k - 1 : k] - 2 * error
    settled = np.full(len(queries), True)
    if near.scores.shape[1] < n:  # rows that were not kept score at most as the last one
        settled = near.scores[:, -1] < within[:, 0]
    scores, indices = np.zeros((len(queries), k)), np.zeros((len(queries), k), np.int64)
    for number in np.flatnonzero(settled):
        rows = np.sort(near.indices[number, near.scores[number] >= within[number]])
        # Not a matrix product, which may round a row by where it stands among the others.
        exact = (references[rows] * queries[number]).sum(axis=1)
        exact = np.divide(exact, lengths[rows], out=np.zeros_like(exact), where=lengths[rows] > 0)
        best = np.argsort(-exact, kind="stable")[:k]
        scores[number], indices[number] = exact[best], rows[best]
    return Neighbors(scores, indices), np.flatnonzero(~settled)


def _selected(
    queries: Floats,
    references: NDArray[np.floating],
    lengths: Floats,
    m: int,
    own: Ints | None,
    hidden: Bools | None,
) -> Neighbors:
    """The m best by float32 scores, the best first."""
    given, n = queries.astype(np.float32), len(references)
    inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0).astype("f4")
    running = Running(m)
    step = max(m, min(_ROWS_AT_ONCE, _SCORES_AT_ONCE // len(given)))
    room = np.empty((len(given), step), np.float32)
    for first in range(0, n, step):
        block = slice(first, min(first + step, n))
        some = references[block].astype(np.float32, copy=False)
        found = np.matmul(given, some.T, out=room[:, : len(some)])
        found *= inverse[block]
        if own is not None:
            here = np.flatnonzero((own >= block.start) & (own < block.stop))
            found[here, own[here] - first] = -np.inf
        if hidden is not None:
            found[:, hidden[block]] = -np.inf
        running.add(found, first)
    best, rows = running.ranked()
    return Neighbors(best.astype(np.float64), rows)


def _lengths(references: NDArray[np.floating]) -> Floats | None:
    """The length of each row (n,); None if products with some rows could leave float32's range."""
    lengths = np.empty(len(references))
    for start in range(0, len(references), _LENGTHS_AT_ONCE):
        rows = references[start : start + _LENGTHS_AT_ONCE].astype(np.float64)
        lengths[start : start + len(rows)] = np.sqrt((rows * rows).sum(axis=1))
    some = lengths[lengths > 0]
    within = some.size == 0 or (some.min() > 1 / _LONGEST and some.max() < _LONGEST)
    return lengths if within else None
