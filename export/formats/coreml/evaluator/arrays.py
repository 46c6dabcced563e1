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
    if x.dtype != np.float32:
        return x.astype(np.float16).astype(np.float32)
    power = np.asarray(x.view(np.uint32) & np.uint32(0x7F800000))
    large = power.max(initial=0) >= 0x47000000  # of 2**15
    if large and not max(x.max(), -x.min()) < 65520:
        return x.astype(np.float16).astype(np.float32)
    # So large that the last bit of the sum is the last bit of x in float16; the addition rounds.
    magnet = power.view(np.float32)
    magnet *= np.float32(1.5 * 2**13)
    magnet.clip(0.75, np.inf, out=magnet)
    rounded = np.asarray(x + magnet)
    rounded -= magnet
    return rounded


def settle_relu6(x: Array, dtype: np.dtype[Any], exact: bool) -> Array:
    """As `settle`, after limiting float `x` to 0..6; it is overwritten."""
    x.clip(0, 6, out=x)
    if exact or dtype != np.float16 or x.dtype != np.float32:
        return settle(x, dtype, exact)
    # As in `_half`; the power of two that rounds is simpler where nothing is negative or large.
    magnet = x * np.float32(2**13)
    magnet.clip(0.75, np.inf, out=magnet)
    np.subtract(magnet, x, out=x)
    return np.subtract(magnet, x, out=x)


def in_order(value: Any) -> Any:  # noqa: ANN401  # a text too
    """The same with its axes in order in memory, if it is an array with channels last there."""
    if not isinstance(value, np.ndarray) or value.ndim < 3 or value.flags.c_contiguous:
        return value
    last = np.moveaxis(value, 1, -1).flags.c_contiguous
    return np.ascontiguousarray(value) if last else value


def ints(values: Parameter) -> tuple[int, ...]:
    """The numbers of a parameter that may be a single number or a vector."""
    return tuple(int(v) for v in np.ravel(values))
