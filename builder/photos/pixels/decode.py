"""Decode pictures as upright RGB, and crop them to the model's square."""

from __future__ import annotations

import io
import warnings
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pocketknn.builder.photos.photo import Photo, PictureError, read

from .colour import eight_bit, is_deep_tiff, rgb
from .crop import square

# Formats that Pillow decodes itself; not EPS, which would run Ghostscript on an untrusted file.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "PPM")
RESAMPLE = "pillow-bilinear-antialiased"
# Part of the key of cached embeddings: raise the number if decoding gives other pixels.
DECODING = f"{RESAMPLE} 2"
# A JPEG is decoded at a half, a quarter or an eighth if that leaves three times the target side. On
# real photos and targets of 64 to 224 pixels, this changed pixels by 0.3 of 255 on average,
# embeddings by a cosine of 0.0001 (at most 0.002), and no nearest neighbour; at twice the side,
# 2 to 7 % of the nearest neighbours changed.
_ENOUGH = 3
_JPEG = ("JPEG", "MPO")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_ROOM = 32 << 20  # bytes of squares: 1,200 photos at 96 pixels, 220 at 224

# Pillow refuses decompression bombs above 179 million pixels and warns above half of that, which
# real cameras reach; it also warns about broken EXIF, which is ignored. Set once, as the filters of
# `warnings` are shared by the decoding threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")


def decode(content: bytes, at_least: int | None = None) -> Image.Image:
    """A picture file's bytes as an upright 8-bit RGB image.

    EXIF rotation is applied, colour profiles are converted to sRGB, 16-bit values are scaled to 8
    (as are 32-bit integers, the type in which Pillow reads some 16-bit files; a grey TIFF with 12
    bits in 16 is scaled from 12), transparent parts become white, CMYK and palettes become RGB, and
    the first frame of an animation is used. The image carries no metadata, such as comments or
    profiles, which would otherwise be saved with it.

    Args:
        content: the file.
        at_least: a JPEG may be decoded at reduced size, which is much faster, as long as both sides
            have at least this many pixels.

    Raises:
        PictureError: not a picture, truncated, or too large to decode safely.
    """
    # A copy is no longer the file, of which more than the pixels could be saved.
    return _decode(content, at_least=at_least)[0].copy()


def _decode(
    content: bytes, size: int | None = None, at_least: int | None = None
) -> tuple[Image.Image, int]:
    """The image for a square of `size`, and the factor by which decoding reduced it."""
    if not content:
        raise PictureError("empty file")
    try:
        with Image.open(io.BytesIO(content), formats=formats()) as image:
            scale = 1
            if size is not None and image.format in _JPEG:
                scale = _reduction(image.size, size)
                image.draft(None, (image.width // scale, image.height // scale))
            elif at_least:
                image.draft(None, (at_least, at_least))
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # and no copy if it is upright
            made = rgb(eight_bit(image, is_deep_tiff(image)))
            made.info = {}
            return made, scale
    except UnidentifiedImageError as error:
        if content[4:8] == b"ftyp" and content[8:12] in _HEIC:
            raise PictureError("HEIC, which needs pillow-heif: pip install pillow-heif") from error
        raise PictureError("not a picture") from error
    except Image.DecompressionBombError as error:
        raise PictureError("more than 178 million pixels") from error
    except (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError) as error:
        # the types that Pillow's decoders raise on broken files
        raise PictureError(str(error).strip() or "cannot be decoded") from error


def picture(content: bytes, size: int, crop: str) -> NDArray[np.uint8]:
    """A picture file's bytes as input for the model: (size, size, 3) uint8.

    Raises:
        PictureError: not a decodable picture.
    """
    image, scale = _decode(content, size)
    return square(image, size, crop, scale)


def pixels(photo: Photo, size: int, crop: str) -> NDArray[np.uint8]:
    """A photo as input for the model: (size, size, 3) uint8.

    Raises:
        PictureError: it cannot be read, or is not a picture.
    """
    return picture(read(photo), size, crop)


def _reduction(shape: tuple[int, int], size: int) -> int:
    """The factor by which to reduce a JPEG: 1, 2, 4 or 8, with no fraction of a pixel left."""
    for scale in (8, 4, 2):
        if min(shape) >= _ENOUGH * size * scale and not any(side % scale for side in shape):
            return scale
    return 1


@cache
def formats() -> tuple[str, ...]:
    """The formats that can be decoded, with HEIC if its plug-in is installed."""
    Image.init()  # otherwise only Pillow's five most common formats are registered
    try:
        import pillow_heif
    except ImportError:
        return FORMATS
    pillow_heif.register_heif_opener()
    return (*FORMATS, "HEIF")


class Squares:
    """The squares of some photos."""

    def __init__(self, size: int, crop: str) -> None:
        """An empty cache.

        Args:
            size: side of a square in pixels.
            crop: how a photo becomes a square.
        """
        self._size, self._crop, self._kept = size, crop, dict[Photo, NDArray[np.uint8]]()
        self._most = _ROOM // (size * size * 3)

    def keep(self, photo: Photo, square: NDArray[np.uint8]) -> None:
        """Store the square (size, size, 3) of a photo, if there is room."""
        if len(self._kept) < self._most:
            self._kept[photo] = square

    def of(self, photo: Photo) -> NDArray[np.uint8]:
        """The square (size, size, 3) of a photo, decoded if it is not stored.

        Raises:
            PictureError: it cannot be read, or is not a picture.
        """
        if photo not in self._kept:
            square = pixels(photo, self._size, self._crop)
            self.keep(photo, square)
            return square
        return self._kept[photo]
