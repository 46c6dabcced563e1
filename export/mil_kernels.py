"""What each op of a Core ML program computes, in numpy: one kernel per op, in one table.

A kernel's parameters are the op's under Apple's names, so a signature is the list of what is
handled. Semantics follow the public op reference
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
Kernels compute in the width they are given; rounding to the declared type is `settle`'s business.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
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


def _ints(values: Parameter) -> tuple[int, ...]:
    return tuple(int(v) for v in np.ravel(values))


def _windows(
    x: Array,
    kernel: tuple[int, ...],
    strides: Parameter,
    dilations: Parameter,
    pad_type: str,
    pad: Parameter,
    filler: float,
) -> Array:
    """Every window of padded `x` (n, c, *space) as a view (n, c, *out, *kernel)."""
    rank = len(kernel)
    steps = (1,) * rank if strides is None else _ints(strides)
    gaps = (1,) * rank if dilations is None else _ints(dilations)
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, gaps, strict=True))
    if pad_type in ("same", "same_lower"):
        # The op reference describes a symmetric padding that ignores the stride; the converter's
        # shape inference and TensorFlow put ceil(size / stride) windows down, and so does this.
        sizes = zip(x.shape[2:], reach, steps, strict=True)
        total = [max(0, (-(-size // s) - 1) * s + r - size) for size, r, s in sizes]
        halves = [(t // 2, t - t // 2) for t in total]
        edges = [(b, a) if pad_type == "same" else (a, b) for b, a in halves]
    elif pad_type == "custom":
        given = _ints(pad)
        edges = list(zip(given[::2], given[1::2], strict=True))
    elif pad_type == "valid":
        edges = [(0, 0)] * rank
    else:
        raise NotImplementedError(f"pad_type={pad_type!r}")
    if any(map(any, edges)):
        x = np.pad(x, [(0, 0), (0, 0), *edges], constant_values=filler)
    view = sliding_window_view(x, reach, axis=tuple(range(2, x.ndim)))
    chosen = [slice(None, None, s) for s in (*steps, *gaps)]
    return view[(slice(None), slice(None), *chosen)]


def _conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    strides: Parameter = None,
    pad_type: str = "valid",
    pad: Parameter = None,
    dilations: Parameter = None,
    groups: int = 1,
) -> Array:
    kernel, rank = weight.shape[2:], x.ndim - 2
    windows = _windows(x, kernel, strides, dilations, pad_type, pad, 0.0)
    n, depth, *space = windows.shape[: x.ndim]
    width = weight.shape[0] // int(groups)
    if groups == depth and groups > 1:  # depthwise: a tap at a time, nothing is copied
        result = np.zeros((n, depth, width, *space), x.dtype)
        taps = weight.reshape(depth, width, *kernel, *(1,) * rank)
        product = np.empty_like(result)
        for tap in np.ndindex(*kernel):
            here = windows[(slice(None), slice(None), None, *(slice(None),) * rank, *tap)]
            np.multiply(here, taps[(slice(None), slice(None), *tap)], out=product)
            result += product
        result = result.reshape(n, depth * width, *space)
    else:
        inner = tuple(range(1, 2 + rank))
        outer = (1, *range(x.ndim, x.ndim + rank))
        parts = zip(np.split(weight, groups), np.split(windows, groups, axis=1), strict=True)
        result = np.concatenate([np.tensordot(w, p, axes=(inner, outer)) for w, p in parts])
        result = np.moveaxis(result, 0, 1)
    return result if bias is None else result + bias.reshape(-1, *(1,) * rank)


def _flat(op: str, ceil_mode: Parameter) -> None:
    if ceil_mode:
        raise NotImplementedError(f"{op}: ceil_mode=True")


def _max_pool(
    x: Array,
    kernel_sizes: Parameter,
    pad_type: str,
    strides: Parameter = None,
    pad: Parameter = None,
    ceil_mode: Parameter = False,
) -> Array:
    _flat("max_pool", ceil_mode)
    kernel = _ints(kernel_sizes)
    windows = _windows(x, kernel, strides, None, pad_type, pad, -np.inf)
    taps = (windows[(..., *tap)] for tap in np.ndindex(*kernel))
    return np.asarray(functools.reduce(np.maximum, taps))


def _avg_pool(
    x: Array,
    kernel_sizes: Parameter,
    pad_type: str,
    strides: Parameter = None,
    pad: Parameter = None,
    exclude_padding_from_average: Parameter = False,
    ceil_mode: Parameter = False,
) -> Array:
    _flat("avg_pool", ceil_mode)
    kernel = _ints(kernel_sizes)

    def total(values: Array) -> Array:
        windows = _windows(values, kernel, strides, None, pad_type, pad, 0.0)
        return np.asarray(sum(windows[(..., *tap)] for tap in np.ndindex(*kernel)))

    if exclude_padding_from_average:
        return np.asarray(total(x) / total(np.ones((1, 1, *x.shape[2:]), x.dtype)))
    return np.asarray(total(x) / x.dtype.type(math.prod(kernel)))


def _pad(x: Array, pad: Parameter, mode: str = "constant", constant_val: Parameter = 0.0) -> Array:
    given = _ints(pad)
    edges = [(0, 0)] * (x.ndim - len(given) // 2) + list(zip(given[::2], given[1::2], strict=True))
    if mode == "constant":
        return np.pad(x, edges, constant_values=constant_val)
    if mode in ("reflect", "replicate"):
        return np.pad(x, edges, mode="reflect" if mode == "reflect" else "edge")
    raise NotImplementedError(f"pad: mode={mode!r}")


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
    over = tuple(range(x.ndim)) if axes is None else tuple(sorted(a % x.ndim for a in _ints(axes)))
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


def _order(x: Array, axis: int = -1, ascending: Parameter = False) -> Array:
    """Stable order along `axis`: of equal values the lowest index is first, NaN is last."""
    # Negated in float64, because an unsigned value has no negative and int32's lowest neither.
    return np.argsort(x if ascending else -x.astype(np.float64), axis=axis, kind="stable")


def _topk(
    x: Array,
    k: int = 1,
    axis: int = -1,
    ascending: Parameter = False,
    sort: Parameter = True,
    return_indices: Parameter = True,
    output_indices_dtype: str = "int32",
) -> tuple[Array, ...]:
    del output_indices_dtype  # sets the declared type, to which the caller narrows: 69999 -> 4463
    indices = np.take(_order(x, axis, ascending), np.arange(k), axis=axis)
    if not sort:  # no order is promised, so give one that nobody can mistake for a sorted one
        indices = np.sort(indices, axis=axis)
    values = np.take_along_axis(x, indices, axis=axis)
    return (values, indices) if return_indices else (values,)


def _within(op: str, indices: Array, size: int, validate_indices: Parameter) -> Array:
    # Only iOS 17's gathers have validate_indices, and only they forbid counting from the end.
    lowest = -size if validate_indices is None else 0
    outside = (indices < lowest) | (indices >= size)
    if outside.any():
        raise IndexError(f"{op}: index {indices[outside].flat[0]} is outside {lowest}..{size - 1}")
    return indices.astype(np.int64)


def _batched(take: Kernel, x: Array, indices: Array, batch_dims: int) -> Array:
    if not batch_dims:
        return np.asarray(take(x, indices))
    lead = x.shape[:batch_dims]
    parts = [take(x[at], indices[at]) for at in np.ndindex(*lead)]
    return np.stack(parts).reshape(*lead, *np.shape(parts[0]))


def _gather(
    x: Array, indices: Array, axis: int = 0, batch_dims: int = 0, validate_indices: Parameter = None
) -> Array:
    axis = int(axis) % x.ndim
    known = _within("gather", indices, x.shape[axis], validate_indices)
    return _batched(lambda part, at: np.take(part, at, axis - batch_dims), x, known, batch_dims)


def _gather_along_axis(
    x: Array, indices: Array, axis: int = 0, validate_indices: Parameter = None
) -> Array:
    known = _within("gather_along_axis", indices, x.shape[axis], validate_indices)
    return np.take_along_axis(x, known, axis)


def _gather_nd(
    x: Array, indices: Array, batch_dims: int = 0, validate_indices: Parameter = None
) -> Array:
    columns = [
        _within("gather_nd", indices[..., i], x.shape[batch_dims + i], validate_indices)
        for i in range(indices.shape[-1])
    ]
    known = np.stack(columns, axis=-1)
    return _batched(lambda part, at: part[tuple(np.moveaxis(at, -1, 0))], x, known, batch_dims)


def _one_hot(
    indices: Array,
    one_hot_vector_size: int,
    axis: int = -1,
    on_value: Parameter = 1,
    off_value: Parameter = 0,
) -> Array:
    hits = np.expand_dims(indices, -1) == np.arange(one_hot_vector_size)
    return np.asarray(np.where(np.moveaxis(hits, -1, axis), on_value, off_value))


def _reduce(total: Callable[[Array, tuple[int, ...] | None, bool], Any]) -> Kernel:
    def kernel(x: Array, axes: Parameter = None, keep_dims: Parameter = False) -> Array:
        return np.asarray(total(x, None if axes is None else _ints(axes), bool(keep_dims)))

    return kernel


def _reduce_log_sum_exp(x: Array, axes: tuple[int, ...] | None, keep_dims: bool) -> Array:
    top = x.max(axes, keepdims=True)
    result = np.log(np.exp(x - top).sum(axes, keepdims=True)) + top
    return np.asarray(result if keep_dims else np.squeeze(result, axes))


def _reduce_arg(order: Kernel) -> Kernel:
    def kernel(
        x: Array, axis: int = -1, keep_dims: Parameter = False, output_dtype: Parameter = None
    ) -> Array:
        del output_dtype  # sets the declared type, to which the caller narrows
        return np.asarray(order(x, axis=axis, keepdims=bool(keep_dims)))

    return kernel


def _reshape(x: Array, shape: Array) -> Array:
    wanted = _ints(shape)
    if 0 in wanted and len(wanted) == x.ndim:
        wanted = tuple(w or size for w, size in zip(wanted, x.shape, strict=True))
    return x.reshape(wanted)


def _squeeze(x: Array, axes: Parameter = None) -> Array:
    asked = range(x.ndim) if axes is None else _ints(axes)
    return np.squeeze(x, tuple(axis for axis in asked if x.shape[axis] == 1))


def _slice_by_index(
    x: Array,
    begin: Array,
    end: Array,
    stride: Parameter = None,
    begin_mask: Parameter = None,
    end_mask: Parameter = None,
    squeeze_mask: Parameter = None,
) -> Array:
    def masked(mask: Parameter, axis: int) -> bool:
        return mask is not None and bool(mask[axis])

    where: list[int | slice] = []
    for axis, (first, last) in enumerate(zip(_ints(begin), _ints(end), strict=True)):
        if masked(squeeze_mask, axis):
            where.append(first)
            continue
        start = None if masked(begin_mask, axis) else first
        stop = None if masked(end_mask, axis) else last
        where.append(slice(start, stop, None if stride is None else int(stride[axis])))
    return np.asarray(x[tuple(where)])


def _slice_by_size(x: Array, begin: Array, size: Array) -> Array:
    starts = (first % length for first, length in zip(_ints(begin), x.shape, strict=True))
    pairs = zip(starts, _ints(size), strict=True)
    return x[tuple(slice(first, None if n == -1 else first + n) for first, n in pairs)]


def _split(
    x: Array, axis: int, num_splits: Parameter = None, split_sizes: Parameter = None
) -> tuple[Array, ...]:
    where = int(num_splits) if split_sizes is None else np.cumsum(split_sizes)[:-1]
    return tuple(np.split(x, where, axis))


def _concat(values: Sequence[Array], axis: int, interleave: Parameter = False) -> Array:
    if interleave:
        raise NotImplementedError("concat: interleave=True")
    return np.concatenate(values, axis)


def _cumsum(
    x: Array, axis: int = 0, exclusive: Parameter = False, reverse: Parameter = False
) -> Array:
    turned = np.flip(x, axis) if reverse else x
    sums = np.cumsum(turned, axis)
    sums = sums - turned if exclusive else sums
    return np.flip(sums, axis) if reverse else sums


def _classify(probabilities: Array, classes: Sequence[str]) -> tuple[str, dict[str, float]]:
    flat = np.ravel(probabilities)
    named = {str(label): float(p) for label, p in zip(classes, flat, strict=True)}
    return str(classes[int(flat.argmax())]), named


KERNELS: Mapping[str, Kernel] = {
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
    "avg_pool": _avg_pool,
    "batch_norm": _batch_norm,
    "conv": _conv,
    "einsum": lambda values, equation: np.einsum(equation, *values, optimize=True),
    "l2_norm": _l2_norm,
    "layer_norm": _layer_norm,
    "linear": _linear,
    "matmul": _matmul,
    "max_pool": _max_pool,
    "softmax": _softmax,
    # along axes
    "argsort": _order,
    "cumsum": _cumsum,
    "reduce_argmax": _reduce_arg(np.argmax),
    "reduce_argmin": _reduce_arg(np.argmin),
    "reduce_l1_norm": _reduce(lambda x, axes, keep: np.abs(x).sum(axes, keepdims=keep)),
    "reduce_l2_norm": _reduce(lambda x, a, keep: np.sqrt(np.square(x).sum(a, keepdims=keep))),
    "reduce_log_sum": _reduce(lambda x, axes, keep: np.log(x.sum(axes, keepdims=keep))),
    "reduce_log_sum_exp": _reduce(_reduce_log_sum_exp),
    "reduce_max": _reduce(lambda x, axes, keep: x.max(axes, keepdims=keep)),
    "reduce_mean": _reduce(lambda x, axes, keep: x.mean(axes, keepdims=keep)),
    "reduce_min": _reduce(lambda x, axes, keep: x.min(axes, keepdims=keep)),
    "reduce_prod": _reduce(lambda x, axes, keep: x.prod(axes, keepdims=keep)),
    "reduce_sum": _reduce(lambda x, axes, keep: x.sum(axes, keepdims=keep)),
    "reduce_sum_square": _reduce(lambda x, axes, keep: np.square(x).sum(axes, keepdims=keep)),
    "topk": _topk,
    # moving and picking
    "concat": _concat,
    "expand_dims": lambda x, axes: np.expand_dims(x, _ints(axes)),
    "fill": lambda shape, value=0.0: np.full(_ints(shape), value),
    "gather": _gather,
    "gather_along_axis": _gather_along_axis,
    "gather_nd": _gather_nd,
    "one_hot": _one_hot,
    "pad": _pad,
    "range_1d": lambda end, start, step: np.arange(start, end, step),
    "reshape": _reshape,
    "reverse": lambda x, axes=None: np.flip(x, None if axes is None else _ints(axes)),
    "shape": lambda x: np.array(x.shape),
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "split": _split,
    "squeeze": _squeeze,
    "stack": lambda values, axis: np.stack(values, axis),
    "tile": lambda x, reps: np.tile(x, _ints(reps)),
    "transpose": lambda x, perm: np.transpose(x, _ints(perm)),
    "classify": _classify,
}
