"""Values of 16 bits as 8."""

from __future__ import annotations

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from .photo import PictureError

# In the words of the manifest.
DEPTH = (
    "values of 16 bits are divided by 257; a grey TIFF with none above 4095 is taken for 12 bits"
)
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_TWELVE_BITS = 4095
_BITS = 258  # TIFF's tag for the bits of each channel


def is_deep_tiff(image: Image.Image) -> bool:
    """Whether it is a TIFF that says it has 16 bits a value."""
    return isinstance(image, TiffImageFile) and 16 in image.tag_v2.get(_BITS, ())


def eight_bit(image: Image.Image, deep_tiff: bool) -> Image.Image:
    """Values of 16 bits as 8; those of a TIFF may have been 12.

    Args:
        image: of any mode.
        deep_tiff: whether its file `is_deep_tiff`.

    Raises:
        PictureError: the values cannot be had any more.
    """
    if image.mode in _SIXTEEN_BIT:
        values = np.asarray(image, np.float64)
        top = _TWELVE_BITS if deep_tiff and values.max() <= _TWELVE_BITS else 65535
        grey = Image.fromarray(np.clip(np.rint(values * 255 / top), 0, 255).astype(np.uint8))
        grey.info = image.info
        return grey
    if deep_tiff and image.mode == "RGB" and 0 < np.asarray(image).max() <= _TWELVE_BITS >> 8:
        # Pillow has taken the high bytes: the rest of the values is lost.
        raise PictureError("12-bit values in 16 bits of colour, almost black; save it as 8 bit")
    return image
