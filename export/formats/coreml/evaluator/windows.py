"""Kernels that slide a window over a picture: convolution, pooling, padding."""

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .arrays import Array, Kernel, Parameter, ints

Numbers = tuple[int, ...]  # one per axis of the picture


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
    if not any(map(any, edges)):
        return x
    sizes = [b + size + a for size, (b, a) in zip(x.shape[2:], edges, strict=True)]
    wide = np.full((*x.shape[:2], *sizes), filler, x.dtype)
    inner = [slice(b, b + size) for size, (b, _) in zip(x.shape[2:], edges, strict=True)]
    wide[(slice(None), slice(None), *inner)] = x
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
    groups, kernel = int(groups), weight.shape[2:]
    steps = _numbers("strides", strides, len(kernel))
    gaps = _numbers("dilations", dilations, len(kernel))
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, gaps, strict=True))
    edges = _edges(x, reach, steps, pad_type, pad)
    if groups == x.shape[1] and groups > 1:
        return _depthwise(x, weight, bias, steps, gaps, edges)
    windows = _windows(_padded(x, edges), kernel, steps, gaps)
    columns = windows.reshape(len(x), groups, math.prod(weight.shape[1:]), -1)
    result = weight.reshape(groups, len(weight) // groups, -1) @ columns
    result = result.reshape(len(x), len(weight), *windows.shape[-len(kernel) :])
    if bias is not None:
        result += bias.reshape(-1, *(1,) * len(kernel))
    return result


def _depthwise(
    x: Array,
    weight: Array,
    bias: Array | None,
    steps: Numbers,
    gaps: Numbers,
    edges: Sequence[tuple[int, int]],
) -> Array:
    """Convolve each channel with its own kernels: tap by tap, for all channels at once.

    A plane holds the padded pixels that are a stride apart. The planes are laid end to end, so that
    a tap shifts all of them at once; sums that run across the end of a row are dropped afterwards.
    """
    n, depth, *space = x.shape
    kernel, many = weight.shape[2:], len(weight) // depth
    full = tuple(b + size + a for size, (b, a) in zip(space, edges, strict=True))
    plane = [-(-size // s) for size, s in zip(full, steps, strict=True)]
    rows = [math.prod(plane[axis + 1 :]) for axis in range(len(plane))]
    shape = (n, depth, 1, math.prod(plane))

    def place(tap: Numbers) -> tuple[Numbers, int]:
        at = [t * d for t, d in zip(tap, gaps, strict=True)]
        shift = sum(a // s * row for a, s, row in zip(at, steps, rows, strict=True))
        return tuple(a % s for a, s in zip(at, steps, strict=True)), shift

    length = math.prod(shape)
    _, most = place(tuple(k - 1 for k in kernel))
    flat = np.zeros((*steps, length + most), x.dtype)
    planes = flat[..., :length].reshape(*steps, n, depth, *plane)
    for phase in np.ndindex(*steps):
        axes = list(zip(phase, steps, edges, strict=True))
        chosen = (slice((p - before) % s, None, s) for p, s, (before, _) in axes)
        part = x[(slice(None), slice(None), *chosen)]
        first = [-((p - before) // s) for p, s, (before, _) in axes]
        inner = (slice(f, f + size) for f, size in zip(first, part.shape[2:], strict=True))
        planes[phase][(slice(None), slice(None), *inner)] = part

    total = np.zeros((n, depth, many, math.prod(plane)), x.dtype)
    product = np.empty_like(total)
    taps = weight.reshape(depth, many, *kernel, 1)
    with np.errstate():
        np.setbufsize(512)  # numpy copies rows that are shorter than its buffer
        for tap in np.ndindex(*kernel):
            phase, shift = place(tap)
            moved = flat[phase][shift : shift + length].reshape(shape)
            np.multiply(moved, taps[(slice(None), slice(None), *tap)], out=product)
            total += product
        if bias is not None:
            total += bias.reshape(depth, many, 1)
    out = _counts(full, kernel, steps, gaps)
    complete = (slice(size) for size in out)
    found = total.reshape(n, depth * many, *plane)[(slice(None), slice(None), *complete)]
    return np.ascontiguousarray(found)


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
