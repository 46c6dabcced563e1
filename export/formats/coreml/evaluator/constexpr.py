"""Constants that a program holds compressed: what its constexpr ops make of them.

Their types and their roundings are coremltools' own, as an exported program was compared with it.
https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .arrays import Array, Kernel, Parameter, ints
from .weights import NUMBERS, Number, unpack


def _affine_dequantize(
    quantized_data: Array, zero_point: Array, scale: Array, axis: Array
) -> Array:
    along = np.ones(quantized_data.ndim, int)
    along[axis] = -1
    values = quantized_data.astype(np.float32)
    values -= zero_point.astype(np.float32).reshape(along)
    values *= scale.reshape(along)
    return values.astype(scale.dtype, copy=False)


def _spread(blocks: Array, shape: tuple[int, ...]) -> Array:
    """Each number as often along each axis as its block is long."""
    for axis, size in enumerate(shape):
        blocks = np.repeat(blocks, _block(size, blocks.shape[axis]), axis)
    return blocks


def _block(size: int, count: int) -> int:
    if not count or size % count:
        raise ValueError(f"an axis of {size} is not divided by {count} blocks")
    return size // count


def _blockwise_shift_scale(data: Array, scale: Array, offset: Array | None = None) -> Array:
    values = data.astype(scale.dtype)
    if offset is not None:
        values = values - _spread(offset, data.shape)
    return np.asarray(_spread(scale, data.shape) * values)


def _cast(source_val: Array, output_dtype: str) -> Array:
    if output_dtype != "fp32":
        raise NotImplementedError(f"constexpr_cast: to {output_dtype}")
    return source_val.astype(np.float32)


def _lut_to_dense(
    indices: Array, lut: Array, shape: Parameter = None, vector_axis: Parameter = None
) -> Array:
    if shape is not None:  # before iOS 18: one table, and indices that are packed
        bits = lut.size.bit_length() - 1
        if lut.size not in (2, 4, 16, 64, 256):
            raise ValueError(f"a table of {lut.size} numbers")
        indices = unpack(indices, Number(np.dtype(np.uint8), bits, None), ints(shape))
        lut = lut.reshape(*(1,) * indices.ndim, -1, 1)
    sizes = zip(indices.shape, lut.shape[:-2], strict=True)
    tables = np.ix_(*(np.arange(size) // _block(size, count) for size, count in sizes))
    vectors = lut[(*tables, indices)]
    if lut.shape[-1] == 1:
        return np.asarray(vectors[..., 0])
    axis = int(vector_axis) % indices.ndim
    laid = list(indices.shape)
    laid[axis] *= lut.shape[-1]
    return np.asarray(np.moveaxis(vectors, -1, axis + 1).reshape(laid))


def _sparse_to_dense(nonzero_data: Array, mask: Array, shape: Parameter = None) -> Array:
    if shape is not None:  # before iOS 18
        mask = unpack(mask, NUMBERS["UINT1"], ints(shape))
    there = mask != 0
    if np.count_nonzero(there) != nonzero_data.size:
        raise ValueError(f"{nonzero_data.size} values for {np.count_nonzero(there)} places")
    dense = np.zeros(mask.shape, nonzero_data.dtype)
    dense[there] = nonzero_data
    return dense


CONSTEXPR: Mapping[str, Kernel] = {
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_blockwise_shift_scale": _blockwise_shift_scale,
    "constexpr_cast": _cast,
    "constexpr_lut_to_dense": _lut_to_dense,
    "constexpr_sparse_to_dense": _sparse_to_dense,
}
