"""A picture in any form that a program holds: a path, a PIL image, or an array of pixels."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.photo import Photo, PictureError
from pocketknn.builder.photos.pixels.colour import eight_bit, is_deep_tiff, rgb
from pocketknn.builder.photos.pixels.crop import square
from pocketknn.builder.photos.pixels.decode import pixels
from pocketknn.builder.photos.readers import LocalFile

Picture = str | PathLike[str] | Image.Image | NDArray[np.uint8]


def is_picture(given: Any) -> bool:  # noqa: ANN401  # whatever a caller holds
    """Whether it is a path, a PIL image, or an array (H, W), (H, W, 3) or (H, W, 4) of uint8."""
    if isinstance(given, str | PathLike | Image.Image):
        return True
    if not isinstance(given, np.ndarray) or given.dtype != np.uint8:
        return False
    return given.ndim == 2 or (given.ndim == 3 and given.shape[2] in (3, 4))


def square_of(given: Picture, size: int, crop: str) -> NDArray[np.uint8]:
    """A picture as input for a model: (size, size, 3) uint8.

    Raises:
        InputError: it cannot be read, or is not a picture.
    """
    try:
        if isinstance(given, str | PathLike):
            content = LocalFile(str(Path(given).absolute()))
            return pixels(Photo(name=str(given), label="", content=content), size, crop)
        image = given if isinstance(given, Image.Image) else Image.fromarray(given)
        upright = eight_bit(ImageOps.exif_transpose(image), is_deep_tiff(image))
        return square(rgb(upright), size, crop)
    except (PictureError, ValueError) as error:
        where = f"{given}: " if isinstance(given, str | PathLike) else ""
        raise InputError(f"{where}{error}", "unreadable-picture") from error
