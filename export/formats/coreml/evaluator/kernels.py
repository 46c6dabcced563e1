"""The ops of a Core ML program in numpy: one kernel per op, in one table.

A kernel's parameters are the op's, under Apple's names, so its signature lists what is supported.
Semantics follow the public op reference
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
Kernels compute in the width of their inputs; `settle` rounds to the declared type. constexpr ops
convert int8 constants with coremltools' own types and rounding, as checked on an exported program.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .arrays import Array, Kernel, Parameter
from .axes import AXES
from .windows import WINDOWS

if TYPE_CHECKING:
    from .arrays import Array, Kernel


def _matmul(
    x: Array, y: Array, transpose_x: Parameter = False, transpose_y: Parameter = False
) -> Array:
    left = np.swapaxes(x, -1, -2) if transpose_x else x
    return np.asarray(left @ (np.swapaxes(y, -1, -2) if transpose_y else y))


def _linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    return np.asarray(x @ weight.T if bias is None else x @ weight.T + bias)


def _softmax(x: Array, axis: int = -1) -> Array:
    grown = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(grown / grown.sum(axis, keepdims=True))


def _gelu(x: Array, mode: str = "EXACT") -> Array:
    if mode == "EXACT":
        return x * 0.5 * (1.0 + _erf(x * math.sqrt(0.5)))
    if mode == "TANH_APPROXIMATION":
        return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
    raise NotImplementedError(f"gelu: mode={mode!r}")


def _erf(x: Array) -> Array:
    values = np.fromiter(map(math.erf, np.ravel(x)), np.float64, np.size(x))
    return values.reshape(np.shape(x)).astype(x.dtype)


def _real_div(x: Array, y: Array) -> Array:
    if x.dtype.kind != "f":
        raise NotImplementedError(f"real_div: x of type {x.dtype}; the rounding is not documented")
    return np.asarray(x / y)


def _cast(x: Array, dtype: str) -> Array:
    if dtype == "bool":
        return np.asarray(x != 0)
    return np.trunc(x).astype(np.int64) if "int" in dtype and x.dtype.kind == "f" else x


def _classify(probabilities: Array, classes: Sequence[str]) -> tuple[str, dict[str, float]]:
    flat = np.ravel(probabilities)
    named = {str(label): float(p) for label, p in zip(classes, flat, strict=True)}
    return str(classes[int(flat.argmax())]), named


ELEMENTWISE: Mapping[str, Kernel] = {
    # one number to one number
    "abs": lambda x: np.abs(x),
    "cast": _cast,
    "ceil": lambda x: np.ceil(x),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
    "erf": _erf,
    "exp": lambda x: np.exp(x),
    "floor": lambda x: np.floor(x),
    "gelu": _gelu,
    "identity": lambda x: x,
    "inverse": lambda x, epsilon=1e-4: 1 / (x + epsilon),
    "leaky_relu": lambda x, alpha: np.where(x >= 0, x, alpha * x),
    "log": lambda x, epsilon=1e-45: np.log(x + epsilon),
    "logical_not": lambda x: np.logical_not(x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "round": lambda x: np.rint(x),
    "rsqrt": lambda x, epsilon=1e-12: 1 / np.sqrt(x + epsilon),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sign": lambda x: np.sign(x),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(x, x.dtype.type(0)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "sqrt": lambda x: np.sqrt(x),
    "square": lambda x: np.square(x),
    "tanh": lambda x: np.tanh(x),
    # two to one
    "add": lambda x, y: x + y,
    "equal": lambda x, y: x == y,
    "floor_div": lambda x, y: np.floor_divide(x, y),
    "greater": lambda x, y: x > y,
    "greater_equal": lambda x, y: x >= y,
    "less": lambda x, y: x < y,
    "less_equal": lambda x, y: x <= y,
    "logical_and": lambda x, y: np.logical_and(x, y),
    "logical_or": lambda x, y: np.logical_or(x, y),
    "maximum": lambda x, y: np.maximum(x, y),
    "minimum": lambda x, y: np.minimum(x, y),
    "mul": lambda x, y: x * y,
    "not_equal": lambda x, y: x != y,
    "pow": lambda x, y: np.power(x, y),
    "real_div": _real_div,
    "select": lambda cond, a, b: np.where(cond, a, b),
    "sub": lambda x, y: x - y,
}

KERNELS: Mapping[str, Kernel] = {
    **ELEMENTWISE,
    **WINDOWS,
    **AXES,
    # layers
    "linear": _linear,
    "matmul": _matmul,
    "softmax": _softmax,
    "classify": _classify,
}

# How they round does not depend on the order of the axes in memory.
ANY_ORDER = frozenset({*ELEMENTWISE, *WINDOWS})

# Every result is a number of x, constant_val, 0 or 6, so it is rounded if they are.
KEEPING = frozenset(
    {
        "expand_dims",
        "identity",
        "max_pool",
        "pad",
        "relu",
        "relu6",
        "reshape",
        "reverse",
        "slice_by_index",
        "squeeze",
        "tile",
        "transpose",
    }
)


def _affine_dequantize(
    quantized_data: Array, zero_point: Array, scale: Array, axis: Array
) -> Array:
    along = np.ones(quantized_data.ndim, int)
    along[axis] = -1
    values = quantized_data.astype(np.float32)
    values -= zero_point.astype(np.float32).reshape(along)
    values *= scale.reshape(along)
    return values.astype(scale.dtype, copy=False)


def _blockwise_shift_scale(data: Array, scale: Array) -> Array:
    """The numbers times their scales, one scale per block along each axis."""
    for axis, size in enumerate(data.shape):
        if not (count := scale.shape[axis]) or size % count:
            raise ValueError(f"an axis of {size} is not divisible into {count} blocks")
        scale = np.repeat(scale, size // count, axis)
    return np.asarray(scale * data.astype(scale.dtype))


CONSTEXPR: Mapping[str, Kernel] = {
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_blockwise_shift_scale": _blockwise_shift_scale,
}
