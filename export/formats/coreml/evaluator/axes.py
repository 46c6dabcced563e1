"""Kernels that order, pick, reduce or move values along axes."""

from collections.abc import Mapping, Sequence

import numpy as np

from .arrays import Array, Kernel, Parameter, ints


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
    # Stable: among equal values the lowest index comes first, NaN last. Negated in float64, because
    # unsigned values and the smallest int32 have no negative.
    order = np.argsort(x if ascending else -x.astype(np.float64), axis=axis, kind="stable")
    indices = np.take(order, np.arange(k), axis=axis)
    if not sort:  # no order is guaranteed, so return one that is clearly unsorted
        indices = np.sort(indices, axis=axis)
    values = np.take_along_axis(x, indices, axis=axis)
    return (values, indices) if return_indices else (values,)


def _within(op: str, indices: Array, size: int, validate_indices: Parameter) -> Array:
    # Only the gathers of iOS 17 have validate_indices, and only they forbid negative indices.
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


def _one_hot(
    indices: Array,
    one_hot_vector_size: int,
    axis: int = -1,
    on_value: Parameter = 1,
    off_value: Parameter = 0,
) -> Array:
    hits = np.expand_dims(indices, -1) == np.arange(one_hot_vector_size)
    return np.asarray(np.where(np.moveaxis(hits, -1, axis), on_value, off_value))


def _reduce(total: Kernel) -> Kernel:
    def kernel(x: Array, axes: Parameter = None, keep_dims: Parameter = False) -> Array:
        along = None if axes is None else ints(axes)
        return np.asarray(total(x, axis=along, keepdims=bool(keep_dims)))

    return kernel


def _log_sum_exp(x: Array, axis: tuple[int, ...] | None, keepdims: bool) -> Array:
    top = x.max(axis, keepdims=True)
    result = np.log(np.exp(x - top).sum(axis, keepdims=True)) + top
    return np.asarray(result if keepdims else np.squeeze(result, axis))


def _reshape(x: Array, shape: Array) -> Array:
    wanted = ints(shape)
    if 0 in wanted and len(wanted) == x.ndim:
        wanted = tuple(w or size for w, size in zip(wanted, x.shape, strict=True))
    return x.reshape(wanted)


def _squeeze(x: Array, axes: Parameter = None) -> Array:
    wanted = range(x.ndim) if axes is None else ints(axes)
    return np.squeeze(x, tuple(axis for axis in wanted if x.shape[axis] == 1))


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
    for axis, (first, last) in enumerate(zip(ints(begin), ints(end), strict=True)):
        if masked(squeeze_mask, axis):
            where.append(first)
            continue
        start = None if masked(begin_mask, axis) else first
        stop = None if masked(end_mask, axis) else last
        where.append(slice(start, stop, None if stride is None else int(stride[axis])))
    return np.asarray(x[tuple(where)])


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


AXES: Mapping[str, Kernel] = {
    # reducing and ordering
    "cumsum": _cumsum,
    "reduce_log_sum_exp": _reduce(_log_sum_exp),
    "reduce_max": _reduce(np.max),
    "reduce_mean": _reduce(np.mean),
    "reduce_min": _reduce(np.min),
    "reduce_prod": _reduce(np.prod),
    "reduce_sum": _reduce(np.sum),
    "topk": _topk,
    # moving and picking
    "concat": _concat,
    "expand_dims": lambda x, axes: np.expand_dims(x, ints(axes)),
    "gather": _gather,
    "one_hot": _one_hot,
    "reshape": _reshape,
    "reverse": lambda x, axes=None: np.flip(x, None if axes is None else ints(axes)),
    "slice_by_index": _slice_by_index,
    "split": _split,
    "squeeze": _squeeze,
    "stack": lambda values, axis: np.stack(values, axis),
    "tile": lambda x, reps: np.tile(x, ints(reps)),
    "transpose": lambda x, perm: np.transpose(x, ints(perm)),
}
