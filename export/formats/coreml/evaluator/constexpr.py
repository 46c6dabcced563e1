"""Constants that a program holds in 8 bits: what its constexpr ops make of them.

Their types and their roundings are coremltools' own, as an exported program was compared with it.
https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .arrays import Array, Kernel


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
    """The numbers times their scales, each of which is for a block along each axis."""
    for axis, size in enumerate(data.shape):
        if not (count := scale.shape[axis]) or size % count:
            raise ValueError(f"an axis of {size} is not divided by {count} blocks")
        scale = np.repeat(scale, size // count, axis)
    return np.asarray(scale * data.astype(scale.dtype))


CONSTEXPR: Mapping[str, Kernel] = {
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_blockwise_shift_scale": _blockwise_shift_scale,
}
