"""Kernels that slide a window over a picture: convolution, pooling, padding."""

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .arrays import Array, Kernel, Parameter, ints

Numbers = tuple[int, ...]  # one per axis of the picture
_SMALL = 10**6  # OpenBLAS rounds products of fewer multiplications by the order of their factors


def _numbers(name: str, values: Parameter, axes: int) -> Numbers:
    """The numbers of a parameter, 1 where it is not given.

    A step of 0 or back would leave the picture, and with it the memory of this process.
    """
    found = (1,) * axes if values is None else ints(values)
    if min(found, default=1) < 1:
        raise ValueError(f"{name} must be at least 1, not {found}")
    return found


def _edges(
    x: Array, reach: Numbers, steps: Numbers, pad_type: str, pad: Parameter
) -> list[tuple[int, int]]:
    """The padding before and after each axis of the picture."""
    if pad_type in ("same", "same_lower"):
        # The op reference describes symmetric padding that ignores the stride; the converter's
        # shape inference and TensorFlow use ceil(size / stride) windows, and so does this.
        sizes = zip(x.shape[2:], reach, steps, strict=True)
        total = [max(0, (-(-size // s) - 1) * s + r - size) for size, r, s in sizes]
        halves = [(t // 2, t - t // 2) for t in total]
        return [(b, a) if pad_type == "same" else (a, b) for b, a in halves]
    if pad_type == "custom":
        given = ints(pad)
        return list(zip(given[::2], given[1::2], strict=True))
    if pad_type == "valid":
        return [(0, 0)] * len(reach)
    raise NotImplementedError(f"pad_type={pad_type!r}")


def _padded(x: Array, edges: Sequence[tuple[int, int]], filler: float = 0.0) -> Array:
    """Padded before and after its last axes; the order of the axes in memory stays."""
    if not any(map(any, edges)):
        return x
    if min(map(min, edges)) < 0:
        raise ValueError(f"negative padding, {edges}")
    around = [(0, 0)] * (x.ndim - len(edges)) + list(edges)
    sizes = [b + size + a for size, (b, a) in zip(x.shape, around, strict=True)]
    wide = np.full_like(x, filler, shape=sizes)
    wide[tuple(slice(b, b + size) for size, (b, _) in zip(x.shape, around, strict=True))] = x
    return wide


def _counts(size: Numbers, kernel: Numbers, steps: Numbers, gaps: Numbers) -> Numbers:
    """How many windows fit along each axis."""
    axes = zip(size, kernel, steps, gaps, strict=True)
    counts = tuple((n - (k - 1) * d - 1) // s + 1 for n, k, s, d in axes)
    if min(counts) < 1:
        raise ValueError(f"the window is larger than the picture, {size} with its padding")
    return counts


def _windows(x: Array, kernel: Numbers, steps: Numbers, gaps: Numbers) -> Array:
    """Every window of `x` (n, c, *space) as a view (n, c, *kernel, *out)."""
    out = _counts(x.shape[2:], kernel, steps, gaps)
    along = x.strides[2:]
    within = [d * stride for d, stride in zip(gaps, along, strict=True)]
    between = [s * stride for s, stride in zip(steps, along, strict=True)]
    strides = (*x.strides[:2], *within, *between)
    return as_strided(x, (*x.shape[:2], *kernel, *out), strides, writeable=False)


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
    """Its result has the channels of each pixel side by side in memory, whatever `x` has."""
    groups, kernel = int(groups), weight.shape[2:]
    steps = _numbers("strides", strides, len(kernel))
    gaps = _numbers("dilations", dilations, len(kernel))
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, gaps, strict=True))
    depthwise = groups == x.shape[1] and groups > 1
    if depthwise:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    elif math.prod(kernel) > 1:
        x = np.ascontiguousarray(x)  # long rows are faster to copy
    edges = _edges(x, reach, steps, pad_type, pad)
    windows = _windows(_padded(x, edges), kernel, steps, gaps)
    result = _depthwise(windows, weight) if depthwise else _dense(windows, weight, groups)
    if bias is not None:
        across = result.shape[-2:]  # numpy adds a row of pixels faster than each of them
        rows = result.reshape(-1, math.prod(across))
        rows += np.broadcast_to(bias, across).reshape(-1)
    return np.moveaxis(result, -1, 1)


def _dense(windows: Array, weight: Array, groups: int) -> Array:
    """The products (n, *out, channels) of windows (n, c, *kernel, *out), in groups of channels."""
    n, out = len(windows), windows.shape[weight.ndim :]
    columns = windows.reshape(n, groups, math.prod(weight.shape[1:]), -1)
    rows = weight.reshape(groups, len(weight) // groups, -1)
    if columns[0, 0].size * rows.shape[1] > _SMALL:
        result = np.swapaxes(columns, -1, -2) @ np.swapaxes(rows, -1, -2)
    else:
        result = np.swapaxes(rows @ np.ascontiguousarray(columns), -1, -2)
    return np.ascontiguousarray(np.swapaxes(result, 1, 2)).reshape(n, *out, len(weight))


def _depthwise(windows: Array, weight: Array) -> Array:
    """As `_dense`, but of each channel with its own kernels.

    If the channels of a pixel are side by side in memory, einsum adds up the taps in their order,
    each for all channels at once. It is slow with few numbers at once, so where the pixels are side
    by side too, it is given several as one.
    """
    n, depth, *sizes = windows.shape
    rank, many = len(sizes) // 2, len(weight) // depth
    kernel, out = sizes[:rank], sizes[rank:]
    windows = np.moveaxis(windows, 1, -1)
    together = math.gcd(out[-1], 8) if windows.strides[-2] == depth * windows.itemsize else 1
    windows = windows.reshape(n, *kernel, *out[:-1], out[-1] // together, together * depth)
    taps = np.moveaxis(weight.reshape(depth, many, *kernel), (0, 1), (-2, -1))
    taps = np.ascontiguousarray(np.tile(taps, (together, 1)))
    result = np.empty((n, *windows.shape[rank + 1 :], many), windows.dtype)
    axes = [*range(windows.ndim + 1)]  # n, *kernel, *out, depth, many
    of_taps, of_result = axes[1 : rank + 1] + axes[-2:], axes[:1] + axes[rank + 1 :]
    np.einsum(windows, axes[:-1], taps, of_taps, of_result, out=result)
    return result.reshape(n, *out, len(weight))


def _pooled(
    op: str,
    x: Array,
    kernel_sizes: Parameter,
    pad_type: str,
    strides: Parameter,
    pad: Parameter,
    ceil_mode: Parameter,
) -> Array:
    """The maximum of each window for `max_pool`, the sum for `avg_pool`."""
    if ceil_mode:
        raise NotImplementedError(f"{op}: ceil_mode=True")
    filler, joined = (-np.inf, np.maximum) if op == "max_pool" else (0.0, np.add)
    kernel = _numbers("kernel_sizes", kernel_sizes, x.ndim - 2)
    steps = _numbers("strides", strides, len(kernel))
    edges = _edges(x, kernel, steps, pad_type, pad)
    windows = _windows(_padded(x, edges, filler), kernel, steps, (1,) * len(kernel))
    taps = (windows[(slice(None), slice(None), *tap)] for tap in np.ndindex(*kernel))
    return np.asarray(functools.reduce(joined, taps))


def _max_pool(
    x: Array,
    kernel_sizes: Parameter,
    pad_type: str,
    strides: Parameter = None,
    pad: Parameter = None,
    ceil_mode: Parameter = False,
) -> Array:
    return _pooled("max_pool", x, kernel_sizes, pad_type, strides, pad, ceil_mode)


def _avg_pool(
    x: Array,
    kernel_sizes: Parameter,
    pad_type: str,
    strides: Parameter = None,
    pad: Parameter = None,
    exclude_padding_from_average: Parameter = False,
    ceil_mode: Parameter = False,
) -> Array:
    how = (kernel_sizes, pad_type, strides, pad, ceil_mode)
    counted: Array = x.dtype.type(math.prod(ints(kernel_sizes)))
    if exclude_padding_from_average:
        counted = _pooled("avg_pool", np.ones((1, 1, *x.shape[2:]), x.dtype), *how)
    return np.asarray(_pooled("avg_pool", x, *how) / counted)


def _pad(x: Array, pad: Parameter, mode: str = "constant", constant_val: Parameter = 0.0) -> Array:
    given = ints(pad)
    edges = [(0, 0)] * (x.ndim - len(given) // 2) + list(zip(given[::2], given[1::2], strict=True))
    if mode == "constant":
        return _padded(x, edges, constant_val)
    if mode in ("reflect", "replicate"):
        return np.pad(x, edges, mode="reflect" if mode == "reflect" else "edge")
    raise NotImplementedError(f"pad: mode={mode!r}")


WINDOWS: Mapping[str, Kernel] = {
    "avg_pool": _avg_pool,
    "conv": _conv,
    "max_pool": _max_pool,
    "pad": _pad,
}
