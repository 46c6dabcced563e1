"""Decode pictures upright in RGB, and bring them to the model's square."""

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

# Formats that Pillow decodes by itself: no EPS, which would start Ghostscript on a stranger's file.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "PPM")
RESAMPLE = "pillow-bilinear-antialiased"
# Embeddings are remembered by it: raise the number where a file's pixels are decoded to others.
DECODING = f"{RESAMPLE} 2"
# A JPEG is decoded at a half, a quarter or an eighth where that leaves three times the side that is
# wanted. On real photos of which 64 to 224 pixels were wanted this moved pixels by 0.3 of 255 on
# average, embeddings by a cosine of 0.0001 (at most 0.002), and the first neighbour of none; at
# twice the side the first neighbour of 2 to 7 % changed.
_ENOUGH = 3
_JPEG = ("JPEG", "MPO")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_ROOM = 32 << 20  # bytes of squares: 1,200 photos at 96 pixels, 220 at 224

# Pillow refuses decompression bombs at 179 million pixels and only warns from half of that on,
# where real cameras are; broken EXIF warns too, and is passed over. Set once, as the filters of
# `warnings` are shared by the threads that decode.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")


def decode(content: bytes, at_least: int | None = None) -> Image.Image:
    """A picture file's bytes as an upright 8-bit RGB image.

    EXIF rotation is applied, a colour profile is converted to sRGB, 16-bit values are scaled to 8
    (so are 32-bit integers, as which some 16-bit files are read; a grey TIFF of 12 bits in 16 is
    scaled by 12), transparency is laid on white, CMYK and palettes become RGB, of an animation the
    first frame is taken. The image has pixels alone: no comment, profile or other words of the
    file, which would be written with it.

    Args:
        content: the file.
        at_least: a JPEG may be decoded smaller, which is much faster, as long as neither of its
            sides gets shorter than this many pixels.

    Raises:
        PictureError: not a picture, truncated, or too large to decode safely.
    """
    return _decode(content, at_least=at_least)[0]


def _decode(
    content: bytes, size: int | None = None, at_least: int | None = None
) -> tuple[Image.Image, int]:
    """The image, and how many times smaller than in the file it is, for a square of `size`."""
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
            made = rgb(eight_bit(ImageOps.exif_transpose(image), is_deep_tiff(image)))
            made.info = {}
            return made, scale
    except UnidentifiedImageError as error:
        if content[4:8] == b"ftyp" and content[8:12] in _HEIC:
            raise PictureError("HEIC, which needs pillow-heif: pip install pillow-heif") from error
        raise PictureError("not a picture") from error
    except Image.DecompressionBombError as error:
        raise PictureError("more than 178 million pixels") from error
    except (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError) as error:
        # The types that Pillow's decoders raise on broken files.
        raise PictureError(str(error).strip() or "cannot be decoded") from error


def picture(content: bytes, size: int, crop: str) -> NDArray[np.uint8]:
    """A picture file's bytes as the model wants them: (size, size, 3) uint8.

    Raises:
        PictureError: no picture that can be decoded.
    """
    image, scale = _decode(content, size)
    return square(image, size, crop, scale)


def pixels(photo: Photo, size: int, crop: str) -> NDArray[np.uint8]:
    """A photo as the model wants it: (size, size, 3) uint8.

    Raises:
        PictureError: it cannot be read, or is no picture.
    """
    return picture(read(photo), size, crop)


def _reduction(shape: tuple[int, int], size: int) -> int:
    """How many times smaller a JPEG is decoded: 1, 2, 4 or 8, without a part of a pixel left."""
    for scale in (8, 4, 2):
        if min(shape) >= _ENOUGH * size * scale and not any(side % scale for side in shape):
            return scale
    return 1


@cache
def formats() -> tuple[str, ...]:
    """The formats that can be decoded here: HEIC where its plug-in is installed."""
    Image.init()  # without it only Pillow's five commonest formats are known
    try:
        import pillow_heif
    except ImportError:
        return FORMATS
    pillow_heif.register_heif_opener()
    return (*FORMATS, "HEIF")


class Squares:
    """The squares of some photos, each of which has a name and a label of its own."""

    def __init__(self, size: int, crop: str) -> None:
        """Hold none yet.

        Args:
            size: side of a square in pixels.
            crop: how a photo becomes a square.
        """
        self._size, self._crop, self._kept = size, crop, dict[Photo, NDArray[np.uint8]]()
        self._most = _ROOM // (size * size * 3)

    def keep(self, photo: Photo, square: NDArray[np.uint8]) -> None:
        """Hold the square (size, size, 3) of a photo, if there is room."""
        if len(self._kept) < self._most:
            self._kept[photo] = square

    def of(self, photo: Photo) -> NDArray[np.uint8]:
        """The square (size, size, 3) of a photo, which is decoded where it is not held.

        Raises:
            PictureError: it cannot be read, or is no picture.
        """
        if photo not in self._kept:
            square = pixels(photo, self._size, self._crop)
            self.keep(photo, square)
            return square
        return self._kept[photo]
