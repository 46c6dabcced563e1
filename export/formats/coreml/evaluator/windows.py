"""Kernels that slide a window over a picture: convolution, pooling, padding."""

import functools
import math
from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .arrays import Array, Kernel, Parameter, ints


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
    steps = (1,) * rank if strides is None else ints(strides)
    gaps = (1,) * rank if dilations is None else ints(dilations)
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, gaps, strict=True))
    if pad_type in ("same", "same_lower"):
        # The op reference describes symmetric padding that ignores the stride; the converter's
        # shape inference and TensorFlow use ceil(size / stride) windows, and so does this.
        sizes = zip(x.shape[2:], reach, steps, strict=True)
        total = [max(0, (-(-size // s) - 1) * s + r - size) for size, r, s in sizes]
        halves = [(t // 2, t - t // 2) for t in total]
        edges = [(b, a) if pad_type == "same" else (a, b) for b, a in halves]
    elif pad_type == "custom":
        given = ints(pad)
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
    if groups == depth and groups > 1:  # depthwise: one tap at a time, without copies
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
    kernel = ints(kernel_sizes)
    windows = _windows(x, kernel, strides, None, pad_type, pad, filler)
    taps = (windows[(..., *tap)] for tap in np.ndindex(*kernel))
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
        return np.pad(x, edges, constant_values=constant_val)
    if mode in ("reflect", "replicate"):
        return np.pad(x, edges, mode="reflect" if mode == "reflect" else "edge")
    raise NotImplementedError(f"pad: mode={mode!r}")


WINDOWS: Mapping[str, Kernel] = {
    "avg_pool": _avg_pool,
    "conv": _conv,
    "max_pool": _max_pool,
    "pad": _pad,
}
