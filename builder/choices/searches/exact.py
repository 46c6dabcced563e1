"""Compare all references, at stored precision."""

from __future__ import annotations

from dataclasses import replace

from pocketknn.builder.choices.growth import muted
from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.choices.protocols import Constants, KerasTensor, Layer, Making

from . import scan
from .index import Index, quantised

SCANS = False
WORDS = "all of them compared"
_SPARE = 16  # references beyond k to score again, as 8-bit sums may misorder some


def make(making: Making) -> Index | None:
    """An index at stored precision; None for one dense layer of float32."""
    return None if making.precision == "float32" else plain(making)


def plain(making: Making) -> Index:
    """Like `make`, but with an index for float32 too."""
    # Products of int8 codes with int8 queries are too coarse to order by.
    coarse = making.stored.codes is not None
    return replace(making.stored, candidates=min(making.n, making.k + _SPARE) if coarse else 0)


def bytes_beside(width: int) -> int:
    """No extra bytes."""
    return 0


def candidates(index: Index, first: Floats, wanted: int) -> Ints:
    """The references whose codes rank best; for floats, the neighbours themselves."""
    return scan.best(index.table, quantised(first) if index.candidates else first, wanted)


def attach(
    first: KerasTensor,
    given: Constants,
    index: Index,
    table: Layer,
    mute: KerasTensor | None = None,
) -> KerasTensor:
    """Like `candidates`, but in the graph, and for codes only."""
    import keras

    return keras.ops.top_k(muted(table(first, reverse=True), mute), index.candidates)[1]
