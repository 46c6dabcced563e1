"""What all kernels share: array types, and rounding to a program's declared types."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Kernel = Callable[..., Any]
Parameter = Any  # a constant as PyMIL has it: a number, a truth value, a vector of them or None


def settle(value: Array | np.generic, dtype: np.dtype[Any], exact: bool) -> Array:
    """Rounds to the declared type; floats are carried on in the width they are computed in."""
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
    # numpy's own cast does the same, but a hundred times slower where results are subnormal.
    if x.dtype != np.float32 or not np.abs(x).max(initial=0) < 65520:
        return x.astype(np.float16).astype(np.float32)
    power = (x.view(np.uint32) & np.uint32(0x7F800000)).view(np.float32)
    # So large that the sum's last bit is float16's last bit of x, which addition then rounds to.
    magnet = np.maximum(power * np.float32(1.5 * 2**13), np.float32(0.75))
    return np.asarray((x + magnet) - magnet)


def ints(values: Parameter) -> tuple[int, ...]:
    """Numbers of a parameter that may be one number or a vector."""
    return tuple(int(v) for v in np.ravel(values))
