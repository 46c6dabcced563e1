"""How references are stored and searched; `protocols.Search` is the interface."""

from __future__ import annotations

import numpy as np

from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors, rank
from pocketknn.builder.choices.protocols import Search

from . import exact, rerank
from .index import Index

SEARCHES: dict[str, Search] = {"exact": exact, "rerank": rerank}


def find(index: Index, units: Floats, k: int, own: Ints | None = None) -> Neighbors:
    """The k nearest that an index finds, in numpy; equal to the graph up to the last bits.

    Args:
        index: the references.
        units: (q, r) queries of length 1.
        k: how many neighbours.
        own: (q,) each query's own row, which it must not find; None to allow all rows.
    """
    wanted = (index.candidates or k) + (own is not None)
    found = SEARCHES[index.search].candidates(index, index.turned(units), wanted)
    scores = np.empty(found.shape)
    for number, query in enumerate(units):  # one by one, to save memory
        scores[number] = index.rows(found[number]) @ query
    if own is not None:
        scores[found == own[:, None]] = -np.inf
    best = rank(scores, k)
    return Neighbors(best.scores, np.take_along_axis(found, best.indices, axis=1))
