"""The values of a class in such a data set.

The values of a class may be a list, an object with the keys "0", "1", … in any order
(a typed array in JSON), or base-64 of little-endian float32.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError

from .ml5_forms import Stored, kind_of

_MOST = 1 << 31  # examples, or values in one


def table_of(one: Stored, dim: int | None) -> NDArray[np.float32]:
    """The examples of a class (n, d).

    Args:
        one: the class.
        dim: values of an example, for a file that does not say.

    Raises:
        InputError: they are no numbers of float32, or do not fit their shape.
    """
    values, shape = one.values, one.shape
    if isinstance(values, list) and values and isinstance(values[0], list):
        if any(not isinstance(row, list) or len(row) != len(values[0]) for row in values):
            raise InputError("its rows differ in length")
        shape = [len(values), len(values[0])] if shape is None else shape
        values = [value for row in values for value in row]
    flat = _flat(values)
    if shape is None:
        if dim is None:
            raise InputError("it has no shape; dim has to say how many values an example has")
        shape = [len(flat) // dim, dim]
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(type(side) is int and 0 < side <= _MOST for side in shape)
    ):
        raise InputError("its shape is not [examples, values], both at least 1")
    if len(flat) != shape[0] * shape[1]:
        raise InputError(f"its shape {shape} does not fit {len(flat)} values")
    return flat.reshape(shape)


def _flat(values: Any) -> NDArray[np.float32]:  # noqa: ANN401
    """The values of a class, one after the other."""
    if isinstance(values, dict):
        try:
            values = [values[str(i)] for i in range(len(values))]
        except KeyError as error:
            raise InputError(f"its values have no number {error}") from error
    if isinstance(values, str):
        try:
            numbers = np.frombuffer(base64.b64decode(values, validate=True), "<f4")
        except ValueError as error:
            raise InputError("its values are a text, but not base-64 of float32") from error
    elif isinstance(values, list):
        for i, value in enumerate(values):
            if type(value) not in (int, float):
                raise InputError(f"value {i} is {kind_of(value)}, not a number")
        try:
            with np.errstate(over="ignore"):
                numbers = np.array(values, np.float64).astype(np.float32)
        except OverflowError as error:
            raise InputError("a value is too large for float32") from error
    else:
        raise InputError(f"its values are {kind_of(values)}")
    if not np.isfinite(numbers).all():
        bad = int(np.argmin(np.isfinite(numbers)))
        raise InputError(f"value {bad} is NaN, infinite or too large for float32")
    return numbers
