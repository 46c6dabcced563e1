"""Compare all references, at stored precision."""

from __future__ import annotations

from pocketknn.builder.choices.growth import muted
from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.choices.protocols import Constants, KerasTensor, Layer

from .index import Index, best, quantised

SCANS = False
WORDS = "all of them compared"


def bytes_beside(width: int) -> int:
    """No extra bytes."""
    return 0


def candidates(index: Index, first: Floats, wanted: int) -> Ints:
    """The references whose codes rank best; for floats, the neighbours themselves."""
    return best(index.table, quantised(first) if index.candidates else first, wanted)


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
