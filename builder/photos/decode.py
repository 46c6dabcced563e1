"""Decode pictures upright in RGB, and bring them to the model's square."""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from .colour import to_srgb

# Formats that Pillow decodes by itself: no EPS, which would start Ghostscript on a stranger's file.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "PPM")
RESAMPLE = "pillow-bilinear-antialiased"
# What the numbers of a decoded picture are, in the words of the manifest.
COLOUR = "sRGB; another profile in the file is converted, without one the numbers are taken for it"
DEPTH = (
    "values of 16 bits are divided by 257; a grey TIFF with none above 4095 is taken for 12 bits"
)
# Embeddings are remembered by it: raise the number where a file's pixels are decoded to others.
DECODING = f"{RESAMPLE} 2"
Resize = Callable[[Image.Image, tuple[int, int]], Image.Image]  # to a width and a height
# A JPEG is decoded at a half, a quarter or an eighth where that leaves three times the side that is
# wanted. On real photos of which 64 to 224 pixels were wanted this moved pixels by 0.3 of 255 on
# average, embeddings by a cosine of 0.0001 (at most 0.002), and the first neighbour of none; at
# twice the side the first neighbour of 2 to 7 % changed.
_ENOUGH = 3
_JPEG = ("JPEG", "MPO")
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_TWELVE_BITS = 4095
_BITS = 258  # TIFF's tag for the bits of each channel
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")

# Pillow refuses decompression bombs at 179 million pixels and only warns from half of that on,
# where real cameras are; broken EXIF warns too, and is passed over. Set once, as the filters of
# `warnings` are shared by the threads that decode.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")


class PictureError(ValueError):
    """A picture that cannot be used; the message says why, without the path."""


class UnreadError(PictureError):
    """A picture whose file cannot be read, now and here."""


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
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            scale = 1
            if size is not None and image.format in _JPEG:
                scale = _reduction(image.size, size)
                image.draft(None, (image.width // scale, image.height // scale))
            elif at_least:
                image.draft(None, (at_least, at_least))
            image.load()
            made = _rgb(_eight_bit(ImageOps.exif_transpose(image), _is_deep_tiff(image)))
            made.info = {}
            return made, scale
    except UnidentifiedImageError as error:
        if content[4:8] == b"ftyp" and content[8:12] in _HEIC:
            raise PictureError("HEIC, which needs the package pillow-heif") from error
        raise PictureError("not a picture") from error
    except Image.DecompressionBombError as error:
        raise PictureError("more than 178 million pixels") from error
    except (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError) as error:
        # The types that Pillow's decoders raise on broken files.
        raise PictureError(str(error).strip() or "cannot be decoded") from error


def bilinear(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize by Pillow's bilinear filter, which is antialiased."""
    return image.resize(size, Image.Resampling.BILINEAR)


def square(
    image: Image.Image, size: int, crop: str, scale: int = 1, resize: Resize = bilinear
) -> NDArray[np.uint8]:
    """Bring an RGB image to (size, size, 3) uint8: crop first, then Pillow's bilinear filter.

    Args:
        image: an RGB image of any shape.
        size: side of the square in pixels.
        crop: `center` keeps the middle square, `stretch` ignores the shape, `fit` shows the whole
            picture on black bars.
        scale: how many times larger the picture was before it was decoded; the crop is that of
            the whole pixels of the large one.
        resize: another filter, to see what one costs; only with a scale of 1.
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


def read(photo: Photo) -> bytes:
    """The bytes of a photo.

    Raises:
        UnreadError: they cannot be read; the message says why.
    """
    try:
        return photo.content()
    except OSError as error:
        raise UnreadError(error.strerror or "cannot be read") from error
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        # A damaged or encrypted member of an archive.
        raise UnreadError(f"cannot be read from the archive: {error}") from error


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


def _resize(
    image: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float],
    resize: Resize,
) -> Image.Image:
    """The part of an image in a box, which may cut pixels; what is outside has no influence."""
    left, top = int(box[0]), int(box[1])
    part = image.crop((left, top, ceil(box[2]), ceil(box[3])))
    inside = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    if inside == (0, 0, *part.size):
        return resize(part, size)
    return part.resize(size, Image.Resampling.BILINEAR, inside)


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
    profile = image.info.get("icc_profile")
    if image.mode == "F":
        raise PictureError("floating-point pixels, which have no agreed range; save it as 8 bit")
    if image.has_transparency_data:
        colours = to_srgb(image.convert("L" if image.mode == "LA" else "RGB"), profile)
        colours.putalpha(image.convert("RGBA").getchannel("A"))
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(colours)
        return opaque.convert("RGB")
    return to_srgb(image, profile)


def _is_deep_tiff(image: Image.Image) -> bool:
    """Whether it is a TIFF that says it has 16 bits a value."""
    return isinstance(image, TiffImageFile) and 16 in image.tag_v2.get(_BITS, ())


def _eight_bit(image: Image.Image, deep_tiff: bool) -> Image.Image:
    """Values of 16 bits as 8; those of a TIFF may have been 12."""
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
