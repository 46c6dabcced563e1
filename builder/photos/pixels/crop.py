"""Crop a picture of any shape to the model's square."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Resize = Callable[[Image.Image, tuple[int, int]], Image.Image]  # to a width and a height


def bilinear(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize by Pillow's bilinear filter, which is antialiased."""
    return image.resize(size, Image.Resampling.BILINEAR)


def square(
    image: Image.Image, size: int, crop: str, scale: int = 1, resize: Resize = bilinear
) -> NDArray[np.uint8]:
    """Crop an RGB image, and resize it to (size, size, 3) uint8 with Pillow's bilinear filter.

    Args:
        image: an RGB image of any shape.
        size: side of the square in pixels.
        crop: `center` keeps the middle square, `stretch` ignores the shape, `fit` shows the whole
            picture on black bars.
        scale: by what factor decoding reduced the picture; the crop is in whole pixels of the
            original.
        resize: another filter, for comparison; only with a scale of 1.
    """
    width, height = image.width * scale, image.height * scale
    if crop == "center":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        box = (left / scale, top / scale, (left + side) / scale, (top + side) / scale)
        return np.asarray(_resize(image, (size, size), box, resize), np.uint8)
    if crop == "fit":
        longest = max(width, height)
        inner = (max(1, round(width * size / longest)), max(1, round(height * size / longest)))
        bars = Image.new("RGB", (size, size))
        small = resize(image, inner)
        bars.paste(small, ((size - inner[0]) // 2, (size - inner[1]) // 2))
        return np.asarray(bars, np.uint8)
    return np.asarray(resize(image, (size, size)), np.uint8)


def _resize(
    image: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float],
    resize: Resize,
) -> Image.Image:
    """The part of an image in a box with fractional edges; pixels outside have no influence."""
    left, top = int(box[0]), int(box[1])
    part = image.crop((left, top, ceil(box[2]), ceil(box[3])))
    inside = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    if inside == (0, 0, *part.size):
        return resize(part, size)
    return part.resize(size, Image.Resampling.BILINEAR, inside)
