"""What each op of a Core ML program computes, in numpy: one kernel per op, in one table.

A kernel's parameters are the op's under Apple's names, so a signature is the list of what is
handled. Semantics follow the public op reference
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
Kernels compute in the width they are given; rounding to the declared type is `settle`'s business.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .arrays import Array, Kernel, Parameter, ints
from .axes import AXES
from .windows import WINDOWS


def _batch_norm(
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: Parameter = 1e-5,
) -> Array:
    over = (-1, *(1,) * (x.ndim - 2))
    scale = (1 if gamma is None else gamma) / np.sqrt(variance + epsilon)
    result = (x - mean.reshape(over)) * scale.reshape(over)
    return np.asarray(result if beta is None else result + beta.reshape(over))


def _layer_norm(
    x: Array,
    axes: Parameter = None,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: Parameter = 1e-5,
) -> Array:
    over = tuple(range(x.ndim)) if axes is None else tuple(sorted(a % x.ndim for a in ints(axes)))
    shape = [size if axis in over else 1 for axis, size in enumerate(x.shape)]
    centred = x - x.mean(over, keepdims=True)
    result = centred / np.sqrt(np.square(centred).mean(over, keepdims=True) + epsilon)
    result = result if gamma is None else result * gamma.reshape(shape)
    return np.asarray(result if beta is None else result + beta.reshape(shape))


def _l2_norm(x: Array, epsilon: Parameter = 1e-6) -> Array:
    length = np.sum(np.square(x), axis=(-3, -2, -1), keepdims=True)
    return np.asarray(x / np.sqrt(length + epsilon))


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
    return np.asarray(x / (1 + np.exp(-1.702 * x)))


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


KERNELS: Mapping[str, Kernel] = {
    **WINDOWS,
    **AXES,
    # one number to one number
    "abs": lambda x: np.abs(x),
    "cast": _cast,
    "ceil": lambda x: np.ceil(x),
    "clamped_relu": lambda x, alpha, beta: np.minimum(np.where(x >= 0, x, alpha * x), beta),
    "clip": lambda x, alpha, beta: np.clip(x, alpha, beta),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
    "erf": _erf,
    "exp": lambda x: np.exp(x),
    "exp2": lambda x: np.exp2(x),
    "floor": lambda x: np.floor(x),
    "gelu": _gelu,
    "identity": lambda x: x,
    "inverse": lambda x, epsilon=1e-4: 1 / (x + epsilon),
    "leaky_relu": lambda x, alpha: np.where(x >= 0, x, alpha * x),
    "linear_activation": lambda x, alpha, beta: alpha * x + beta,
    "log": lambda x, epsilon=1e-45: np.log(x + epsilon),
    "logical_not": lambda x: np.logical_not(x),
    "prelu": lambda x, alpha: np.where(x > 0, x, alpha.reshape(-1, *(1,) * (x.ndim - 2)) * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "round": lambda x: np.rint(x),
    "rsqrt": lambda x, epsilon=1e-12: 1 / np.sqrt(x + epsilon),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sigmoid_hard": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "sign": lambda x: np.sign(x),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(x, x.dtype.type(0)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "sqrt": lambda x: np.sqrt(x),
    "square": lambda x: np.square(x),
    "tanh": lambda x: np.tanh(x),
    "threshold": lambda x, alpha: np.maximum(x, alpha),
    "thresholded_relu": lambda x, alpha: np.where(x >= alpha, x, 0),
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
    "logical_xor": lambda x, y: np.logical_xor(x, y),
    "maximum": lambda x, y: np.maximum(x, y),
    "minimum": lambda x, y: np.minimum(x, y),
    "mod": lambda x, y: np.mod(x, y),
    "mul": lambda x, y: x * y,
    "not_equal": lambda x, y: x != y,
    "pow": lambda x, y: np.power(x, y),
    "real_div": _real_div,
    "select": lambda cond, a, b: np.where(cond, a, b),
    "sub": lambda x, y: x - y,
    # layers
    "batch_norm": _batch_norm,
    "einsum": lambda values, equation: np.einsum(equation, *values, optimize=True),
    "l2_norm": _l2_norm,
    "layer_norm": _layer_norm,
    "linear": _linear,
    "matmul": _matmul,
    "softmax": _softmax,
    "classify": _classify,
}
