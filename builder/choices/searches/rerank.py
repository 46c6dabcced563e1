"""All references are scanned by few components in eight bits, and the best of them are scored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pocketknn.builder.errors import InputError

from . import scan
from .scalar_quantization import quantised

if TYPE_CHECKING:
    from pocketknn.builder.choices.neighbors import Ints
    from pocketknn.builder.choices.protocols import Constants, Floats, KerasTensor, Layer, Making

    from .index import Index

SCANS = True
CELLS = False
PAYS = 0
WORDS = "all scanned by {components} components in 8 bits, the best {candidates} scored"
# How many times as long a runtime takes as for a byte that is scanned: medians of LiteRT and
# onnxruntime from 100,000 and 1,000,000 references, by benchmarks/search.py.
_GATHERED = 25  # for a value of a reference that is gathered, in whatever precision
_WIDENED = 15  # for a code of a cell, which is gathered with it and widened
MOST = 1024  # references scored after a scan; more would cost more than they are worth


def make(making: Making) -> Index:
    """The scan that costs least, with the candidates that it needs."""
    return cheapest(making, making.share, "rerank")


def cheapest(making: Making, share: float, search: str) -> Index:
    """The scan that costs least, with the candidates that it needs.

    Args:
        making: the references.
        share: of the exact neighbours, to be among the candidates and kept by the stored precision.
        search: what it is for.

    Raises:
        InputError: none finds enough.
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
        if (needed := scan.enough(places, share, making.k, most)) is not None:
            found.append(replace(one, candidates=needed))
    if not found:
        raise InputError(
            f"the search {search} finds {best:.2%} of the neighbours with {most}"
            f" candidates, and {share:.2%} are wanted; take a lower --recall, or --search exact"
        )
    if making.candidates:  # they are paid for, so the widest scan is what is best
        return found[-1]
    return min(found, key=lambda one: cost(one, making.n, making.width))


def bytes_beside(width: int) -> int:
    """The scan."""
    return min(128, width)


def candidates(index: Index, first: Floats, wanted: int) -> Ints:
    """The best of the scan."""
    assert index.scan is not None
    return scan.best(index.scan, quantised(first), wanted)


def attach(first: KerasTensor, given: Constants, index: Index, table: Layer) -> KerasTensor:
    """The same in the graph."""
    import keras

    rows = given["scan"]
    dense = keras.layers.Dense(len(rows), use_bias=False, name="scan", trainable=False)
    _, found = keras.ops.top_k(dense(first), index.candidates)
    dense.set_weights([rows.T])
    return found


def cost(index: Index, n: int, r: int) -> float:
    """About what a search takes for a query, in bytes that are read one after the other."""
    scored = 1.0 * _GATHERED * index.candidates * r
    if index.cells is not None:
        count, room, w = map(int, index.cells.codes.shape)
        return 1.0 * index.probes * room * w * _WIDENED + 4.0 * count * w + scored
    return 1.0 * n * (index.width or r * int(index.table.itemsize)) + scored


def within(name: str, value: int | None, least: int, most: int) -> None:
    """Refuse a number of candidates or probes that there are not."""
    if value is not None and not least <= value <= most:
        raise InputError(f"{name} must be {least} to {most} here, not {value}")
