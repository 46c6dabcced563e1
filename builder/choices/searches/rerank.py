"""Scan all references by a few 8-bit components, and score the best."""

from __future__ import annotations

from pocketknn.builder.choices.growth import muted
from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.choices.protocols import Constants, KerasTensor, Layer

from .index import Index, best, quantised

SCANS = True
WORDS = "all scanned, comparing {components} components in 8 bits, the best {candidates} scored"


def bytes_beside(width: int) -> int:
    """The bytes of the scan."""
    return min(128, width)


def candidates(index: Index, first: Floats, wanted: int) -> Ints:
    """The references that the scan ranks best."""
    assert index.scan is not None
    return best(index.scan, quantised(first), wanted)


def attach(
    first: KerasTensor,
    given: Constants,
    index: Index,
    table: Layer,
    mute: KerasTensor | None = None,
) -> KerasTensor:
    """Like `candidates`, but in the graph."""
    import keras

    rows = given["scan"]
    dense = keras.layers.Dense(len(rows), use_bias=False, name="scan", trainable=False)
    _, found = keras.ops.top_k(muted(dense(first), mute), index.candidates)
    dense.set_weights([rows.T])
    return found
