"""A scan: rank rows by one product, and find how many candidates are needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints, Running
from pocketknn.builder.choices.protocols import Making
from pocketknn.builder.errors import InputError

from .index import Index

_AT_ONCE = 1 << 16  # rows scored at once, for all queries
# Cost relative to scanning a byte: medians over LiteRT and onnxruntime with 100,000 and 1,000,000
# references, from benchmarks/search.py.
_GATHERED = 25  # gathering a value of a reference, in any precision
MOST = 1024  # maximum candidates; more would not be worth their cost


def best(table: NDArray[Any], queries: Floats, wanted: int) -> Ints:
    """The rows of a table (n, w) with the largest products: (q, wanted), the best first."""
    given = queries.astype(np.float32)
    running = Running(wanted)
    for start in range(0, len(table), _AT_ONCE):
        running.add(given @ table[start : start + _AT_ONCE].astype(np.float32).T, start)
    return running.ranked()[1]


def enough(places: Ints, share: float, least: int, most: int) -> int | None:
    """How many of a ranking's top entries hold this share of the neighbours; None if too many."""
    ordered = np.sort(places, axis=None)
    needed = int(ordered[min(len(ordered), int(np.ceil(share * len(ordered)))) - 1]) + 1
    return max(needed, least) if needed <= most else None


def cheapest(making: Making, share: float, search: str) -> Index:
    """The cheapest scan, with the candidates it needs.

    Args:
        making: the references.
        share: share of the exact neighbours that must be candidates and survive the stored
            precision.
        search: the name of the search.

    Raises:
        InputError: no scan finds enough neighbours.
    """
    within("candidates", making.candidates, making.k, making.n)
    most = max(making.k, min(making.n, MOST))
    found, best = [], 0.0
    for width in making.widths():
        one = replace(making.scanned(width), search=search)
        if making.candidates is not None:
            found.append(replace(one, candidates=making.candidates))
            continue
        places = making.places(one)
        best = max(best, float((places < most).mean()))
        if (needed := enough(places, share, making.k, most)) is not None:
            found.append(replace(one, candidates=needed))
    if not found:
        raise InputError(
            f"the search {search} finds {best:.2%} of the neighbours with {most} candidates,"
            f" but {share:.2%} is required; use a lower --recall, or --search exact",
            "recall-too-low",
        )
    if making.candidates:  # their number is fixed, so the widest scan is best
        return found[-1]
    return min(found, key=lambda one: cost(one, making.n, making.width))


def cost(index: Index, n: int, r: int) -> float:
    """The approximate cost of a query, in bytes read sequentially."""
    scored = 1.0 * _GATHERED * index.candidates * r
    return 1.0 * n * (index.width or r * int(index.table.itemsize)) + scored


def within(name: str, value: int | None, least: int, most: int) -> None:
    """Check a number of candidates."""
    if value is not None and not least <= value <= most:
        raise InputError(f"{name} must be {least} to {most}, not {value}", "number-out-of-range")
