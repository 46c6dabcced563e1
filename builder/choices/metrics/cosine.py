"""Cosine: the angle between vectors, regardless of length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.growth import muted
from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.choices.protocols import Constants, KerasTensor, Rows

ANGULAR = True
BY_PRODUCT = True
SPARE = 0
ITSELF = 1.0
SCORE = "cosine"
EXACT_HIT: Mapping[str, float] = {"float32": 1e-6, "float16": 1e-3, "int8": 1e-2}
_REFERENCES_AT_ONCE = 1 << 12  # references converted to float64 at once
_VALUES_AT_ONCE = 1 << 16  # converted between two looks at main memory: they stay in the cache
_ROUNDING = 1e-6  # bounds the length error of a float32 unit vector, for any d
_SMALLEST_SQUARE = 1e-36  # nearly the smallest that float32 holds at full precision
_SMALLEST = 1e-30  # keeps a zero embedding at zero, in float32, instead of 0/0


def unit(vectors: NDArray[np.floating], out: Floats | None = None) -> Floats:
    """Scale each row of (n, d) to length 1 in float64; a zero row stays zero.

    Args:
        vectors: (n, d).
        out: (n, d), to write to; new when None.
    """
    given = np.asarray(vectors)
    units = np.empty(given.shape) if out is None else out
    for block in _blocks(given):
        rows = np.asarray(given[block], np.float64)
        if given.itemsize == 8:
            # Dividing by the largest component first keeps the squares in range at any scale, as
            # those of float32 are anyway.
            largest = np.maximum(rows.max(axis=1, keepdims=True), -rows.min(axis=1, keepdims=True))
            rows = rows / np.where(largest > 0, largest, 1)
        length = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
        np.divide(rows, np.where(length > 0, length, 1), out=units[block])
    return units


def kept_unit(rows: NDArray[np.floating]) -> Floats:
    """Like `unit`, but leave rows of length 1 as they are: scaling could change their last bits."""
    return np.where(has_length(rows)[:, None], rows, unit(rows))


def has_length(rows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether each row of (n, d) has length 1 up to float32 rounding: (n,)."""
    near = np.empty(len(rows), np.bool_)
    for block in _blocks(rows):
        lengths = np.linalg.norm(rows[block].astype(np.float64), axis=1)
        near[block] = np.abs(lengths - 1) <= _ROUNDING
    return near


def _blocks(rows: NDArray[np.floating]) -> Iterator[slice]:
    """Slices of the rows of (n, d), each with few values."""
    step = max(_VALUES_AT_ONCE // max(rows.shape[1], 1), 1)
    return (slice(start, start + step) for start in range(0, len(rows), step))


def scores(queries: NDArray[np.floating], references: NDArray[np.floating]) -> Floats:
    """Cosine of each query (q, d) to each reference (n, d): (q, n)."""
    found, given = np.empty((len(queries), len(references))), unit(queries)
    units = np.empty((min(len(references), _REFERENCES_AT_ONCE), given.shape[1]))
    for start in range(0, len(references), _REFERENCES_AT_ONCE):
        rows = references[start : start + _REFERENCES_AT_ONCE]
        block = slice(start, start + len(rows))
        found[:, block] = given @ unit(rows, out=units[: len(rows)]).T
    return found


def ranking(rows: Floats) -> Callable[[Floats], Floats]:
    """A function from queries of unit length to their cosines."""
    units = unit(rows).T
    return lambda queries: np.asarray(queries @ units)


def constants(rows: Rows) -> Constants:
    """`references` (n, r) of unit length."""
    return {"references": rows.matrix}


def nearest(
    embedding: KerasTensor, given: Constants, k: int, mute: KerasTensor | None = None
) -> tuple[KerasTensor, KerasTensor]:
    """The k best scores of one dense layer."""
    import keras

    scores, indices = keras.ops.top_k(muted(all_scores(embedding, given), mute), k)
    return scores, indices


def all_scores(embedding: KerasTensor, given: Constants) -> KerasTensor:
    """Cosines (batch, n), by one dense layer whose columns are the references."""
    import keras

    matrix = given["references"]
    dense = keras.layers.Dense(len(matrix), use_bias=False, name="references", trainable=False)
    cosines = dense(unit_layers(embedding))
    dense.set_weights([matrix.T])
    return cosines


def taught_scores(embedding: KerasTensor, rows: KerasTensor) -> KerasTensor:
    """Cosines by one product, divided by the lengths: scaling the rows would copy them."""
    import keras

    ops = keras.ops
    rows = rows[:, : embedding.shape[1]]
    squares = ops.transpose(ops.sum(rows * rows, axis=-1, keepdims=True))
    lengths = ops.sqrt(ops.maximum(squares, _SMALLEST_SQUARE))
    return ops.matmul(unit_layers(embedding), ops.transpose(rows)) / lengths


def unit_layers(embedding: KerasTensor) -> KerasTensor:
    """Scale each row of (batch, d) to length 1; a zero row stays zero in every runtime.

    `keras.layers.UnitNormalization` would give NaN for a zero vector in TFLite and Core ML.
    Dividing by the largest component first keeps the squares in range at any scale.
    """
    import keras

    ops = keras.ops
    largest = ops.max(ops.abs(embedding), axis=-1, keepdims=True)
    scaled = embedding / ops.maximum(largest, _SMALLEST)
    squares = ops.sum(scaled * scaled, axis=-1, keepdims=True)
    return scaled * ops.rsqrt(ops.maximum(squares, 1e-12))
