"""Shared by all kernels: array types, and rounding to a program's declared types."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Kernel = Callable[..., Any]
Parameter = Any  # a constant as in PyMIL: a number, a boolean, a vector of them or None


def settle(value: Array | np.generic, dtype: np.dtype[Any], exact: bool) -> Array:
    """Rounds to the declared type, but stores floats in the width they are computed in."""
    array = np.asarray(value)
    if dtype.kind != "f":
        return array.astype(dtype, copy=False)
    if exact:
        return array.astype(np.float64, copy=False)
    if dtype == np.float16:
        return _half(array)
    return array.astype(np.float32, copy=False)


def _half(x: Array) -> Array:
    """The nearest float16 as a float32, ties to even; a negative zero loses its sign."""
    # numpy's own cast does the same, but a hundred times slower if results are subnormal.
    if x.dtype != np.float32 or not max(x.max(initial=0), -x.min(initial=0)) < 65520:
        return x.astype(np.float16).astype(np.float32)
    # So large that the last bit of the sum is the last bit of x in float16; the addition rounds.
    magnet = np.asarray(x.view(np.uint32) & np.uint32(0x7F800000)).view(np.float32)
    magnet *= np.float32(1.5 * 2**13)
    np.maximum(magnet, np.float32(0.75), out=magnet)
    rounded = np.asarray(x + magnet)
    rounded -= magnet
    return rounded


def ints(values: Parameter) -> tuple[int, ...]:
    """The numbers of a parameter that may be a single number or a vector."""
    return tuple(int(v) for v in np.ravel(values))
