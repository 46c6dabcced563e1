"""Rows ranked by one product, some at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pocketknn.builder.choices.neighbors import Floats, Ints

_AT_ONCE = 1 << 16  # rows whose scores are held at once, for all queries


def best(table: NDArray[Any], queries: Floats, wanted: int) -> Ints:
    """The rows of a table (n, w) with the largest products: (q, wanted), the best first."""
    given = queries.astype(np.float32)
    scores, rows = np.empty((len(given), 0), np.float32), np.empty((len(given), 0), np.int64)
    for start in range(0, len(table), _AT_ONCE):
        block = given @ table[start : start + _AT_ONCE].astype(np.float32).T
        numbers = np.broadcast_to(np.arange(start, start + block.shape[1]), block.shape)
        scores = np.concatenate([scores, block], axis=1)
        rows = np.concatenate([rows, numbers], axis=1)
        if scores.shape[1] > wanted:
            kept = np.sort(np.argpartition(-scores, wanted - 1, axis=1)[:, :wanted], axis=1)
            scores = np.take_along_axis(scores, kept, axis=1)
            rows = np.take_along_axis(rows, kept, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(rows, order, axis=1)


def enough(places: Ints, share: float, least: int, most: int) -> int | None:
    """How many of a ranking hold this share of what was sought in it; None where too many."""
    ordered = np.sort(places, axis=None)
    needed = int(ordered[min(len(ordered), int(np.ceil(share * len(ordered)))) - 1]) + 1
    return max(needed, least) if needed <= most else None
