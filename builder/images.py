"""Decode pictures upright in RGB, and bring them to the model's square."""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

# Formats that Pillow decodes by itself: no EPS, which would start Ghostscript on a stranger's file.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "PPM")
RESAMPLE = "pillow-bilinear-antialiased"
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")

# Pillow refuses decompression bombs at 179 million pixels and only warns from half of that on,
# where real cameras are; broken EXIF warns too, and is passed over. Set once, as the filters of
# `warnings` are shared by the threads that decode.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")


class PictureError(ValueError):
    """A picture that cannot be used; the message says why, without the path."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A picture file that was found.

    Attributes:
        name: its path below the place that was searched, with forward slashes.
        label: its class: the folders above it, joined with "/", or what a table says; "" for none.
        content: reads the file's bytes; raises OSError where it cannot.
        targets: numbers that a table says of it, for regression.
    """

    name: str
    label: str
    content: Callable[[], bytes] = field(compare=False, repr=False)
    targets: tuple[float, ...] = ()


def decode(content: bytes, at_least: int | None = None) -> Image.Image:
    """A picture file's bytes as an upright 8-bit RGB image.

    EXIF rotation is applied, 16-bit values are scaled to 8 (so are 32-bit integers, as which some
    16-bit files are read), transparency is laid on white, CMYK and palettes become RGB, of an
    animation the first frame is taken.

    Args:
        content: the file.
        at_least: a JPEG may be decoded smaller, which is much faster, as long as neither of its
            sides gets shorter than this many pixels.

    Raises:
        PictureError: not a picture, truncated, or too large to decode safely.
    """
    if not content:
        raise PictureError("empty file")
    try:
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            if at_least:
                image.draft(None, (at_least, at_least))
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        if content[4:8] == b"ftyp" and content[8:12] in _HEIC:
            raise PictureError("HEIC, which needs the package pillow-heif") from error
        raise PictureError("not a picture") from error
    except Image.DecompressionBombError as error:
        raise PictureError("more than 178 million pixels") from error
    except (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError) as error:
        # The types that Pillow's decoders raise on broken files.
        raise PictureError(str(error).strip() or "cannot be decoded") from error


def square(image: Image.Image, size: int, crop: str) -> NDArray[np.uint8]:
    """Bring an RGB image to (size, size, 3) uint8: crop first, then Pillow's bilinear filter.

    Args:
        image: an RGB image of any shape.
        size: side of the square in pixels.
        crop: `center` keeps the middle square, `stretch` ignores the shape, `fit` shows the whole
            picture on black bars.
    """
    width, height = image.size
    if crop == "center":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    elif crop == "fit":
        longest = max(width, height)
        inner = (max(1, round(width * size / longest)), max(1, round(height * size / longest)))
        small = image.resize(inner, Image.Resampling.BILINEAR)
        image = Image.new("RGB", (size, size))
        image.paste(small, ((size - inner[0]) // 2, (size - inner[1]) // 2))
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.uint8)


def read(photo: Photo) -> bytes:
    """The bytes of a photo.

    Raises:
        PictureError: they cannot be read; the message says why.
    """
    try:
        return photo.content()
    except OSError as error:
        raise PictureError(error.strerror or "cannot be read") from error
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        # A damaged or encrypted member of an archive.
        raise PictureError(f"cannot be read from the archive: {error}") from error


def pixels(photo: Photo, size: int, crop: str) -> NDArray[np.uint8]:
    """A photo as the model wants it: (size, size, 3) uint8.

    Raises:
        PictureError: it cannot be read, or is no picture.
    """
    return square(decode(read(photo)), size, crop)


@cache
def _formats() -> tuple[str, ...]:
    """The formats that can be decoded here: HEIC where its plug-in is installed."""
    Image.init()  # without it only Pillow's five commonest formats are known
    try:
        import pillow_heif
    except ImportError:
        return FORMATS
    pillow_heif.register_heif_opener()
    return (*FORMATS, "HEIF")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        return _eight_bit(np.asarray(image, np.float64) / 257)
    if image.mode == "F":
        raise PictureError("floating-point pixels, which have no agreed range; save it as 8 bit")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert("RGB")
    return image.convert("RGB")


def _eight_bit(grey: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)).convert("RGB")
