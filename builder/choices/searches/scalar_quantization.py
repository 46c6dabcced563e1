"""Rows of a matrix as eight-bit codes, with a step and a middle for each column."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pocketknn.builder.choices.neighbors import Floats

LARGEST = 127  # of a code; -128 is left out, so that both sides are the same

Values = NDArray[np.int8]


class Codes(NamedTuple):
    """Rows that are nearly `middle + steps * values`.

    The steps belong to columns, not to rows, so that they can be multiplied into a query: a product
    with the codes alone then ranks the rows, and no row has a number of its own beside its codes.

    Attributes:
        values: (n, r) int8.
        steps: (r,) float32, above 0.
        middle: (r,) float32.
    """

    values: Values
    steps: NDArray[np.float32]
    middle: NDArray[np.float32]


def scale(least: Floats, largest: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The steps and the middle (r,) of columns whose values lie between two numbers each.

    The middle is that between the two, not the mean: pooled features pile up near zero, and codes
    for what lies below would not be used.
    """
    middle = ((least + largest) / 2).astype(np.float32)
    # Both ends must be within reach of the rounded middle.
    reach = np.maximum(largest - middle, middle - least)
    # A column that never changes may have any step.
    return np.where(reach > 0, reach / LARGEST, 1).astype(np.float32), middle


def encode(rows: Floats, steps: NDArray[np.float32], middle: NDArray[np.float32]) -> Values:
    """The codes (n, r) of rows."""
    return np.clip(np.rint((rows - middle) / steps), -LARGEST, LARGEST).astype(np.int8)


def quantised(queries: Floats) -> Floats:
    """Queries (q, r) as files take them for a product with codes, 127 steps to each side of zero.

    That is ONNX files' own rule. LiteRT's steps are finer: 255 from the least to the largest value.
    """
    step = np.abs(queries).max(axis=1, keepdims=True, initial=0) / LARGEST
    step = np.where(step > 0, step, 1)
    found: Floats = np.rint(queries / step) * step
    return found
