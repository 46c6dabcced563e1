"""An index searched in numpy, as the graphs do it, but for the last bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.choices.neighbors import Neighbors, rank

from . import SEARCHES

if TYPE_CHECKING:
    from pocketknn.builder.choices.neighbors import Floats, Ints

    from .index import Index


def find(index: Index, units: Floats, k: int, own: Ints | None = None) -> Neighbors:
    """The k nearest that an index finds.

    Args:
        index: the references.
        units: (q, r) queries of length 1.
        k: how many.
        own: (q,) the row that each query must not find, or None.
    """
    wanted = (index.candidates or k) + (own is not None)
    found = SEARCHES[index.search].candidates(index, index.turned(units), wanted)
    scores = np.empty(found.shape)
    for number, query in enumerate(units):  # all rows of all queries would not fit
        scores[number] = index.rows(found[number]) @ query
    scores[found < 0] = -np.inf
    if own is not None:
        scores[found == own[:, None]] = -np.inf
    best = rank(scores, k)
    return Neighbors(best.scores, np.take_along_axis(found, best.indices, axis=1))
