"""How many references a search must score again, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.choices.searches.index import Index
from pocketknn.builder.errors import InputError

if TYPE_CHECKING:
    from .making import Maker

# Cost of gathering a value of a reference, in any precision, relative to scanning a byte: the
# median over LiteRT and onnxruntime with 100,000 and 1,000,000 references, from
# benchmarks/search.py.
_GATHERED = 25
_SPARE = 16  # references beyond k to score again, as 8-bit sums may misorder some
MOST = 1024  # maximum candidates of a scan; more would not be worth their cost


def unscanned(making: Maker) -> Index:
    """The index that compares all references as stored."""
    # Products of int8 codes with int8 queries are too coarse to order by.
    coarse = making.stored.codes is not None
    return replace(making.stored, candidates=min(making.n, making.k + _SPARE) if coarse else 0)


def cheapest(making: Maker, search: str) -> Index:
    """The cheapest scan, with the candidates it needs.

    Args:
        making: the references.
        search: the name of the search.

    Raises:
        InputError: no scan finds enough neighbours, or more candidates are wanted than there are.
    """
    if making.spec.candidates is not None:
        return _widest(making, search, making.spec.candidates)
    most, share = max(making.k, min(making.n, MOST)), making.share
    found, best = [], 0.0
    for width in making.widths():
        one = replace(making.scanned(width), search=search)
        places = making.places(one)
        best = max(best, float((places < most).mean()))
        if (needed := _enough(places, share)) <= most:
            found.append(replace(one, candidates=max(needed, making.k)))
    if not found:
        raise InputError(
            f"the search {search} finds {best:.2%} of the neighbours with {most} candidates,"
            f" but {share:.2%} is required; use a lower --recall, or --search exact",
            "recall-too-low",
        )
    return min(found, key=lambda one: cost(one, making.n, making.width))


def cost(index: Index, n: int, r: int) -> float:
    """The approximate cost of a query, in bytes read sequentially."""
    scored = 1.0 * _GATHERED * index.candidates * r
    return 1.0 * n * (index.width or r * int(index.table.itemsize)) + scored


def _widest(making: Maker, search: str, candidates: int) -> Index:
    """The widest scan, which is the best one for a fixed number of candidates."""
    if not making.k <= candidates <= making.n:
        raise InputError(
            f"candidates must be {making.k} to {making.n}, not {candidates}", "number-out-of-range"
        )
    return replace(making.scanned(making.widths()[-1]), search=search, candidates=candidates)


def _enough(places: Ints, share: float) -> int:
    """How many of a ranking's top entries hold this share of the neighbours."""
    ordered = np.sort(places, axis=None)
    return int(ordered[min(len(ordered), int(np.ceil(share * len(ordered)))) - 1]) + 1
