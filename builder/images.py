"""Find labelled pictures, decode them upright in RGB, and bring them to the model's square."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import InputError

# Formats that Pillow decodes by itself: no EPS, which would start Ghostscript on a stranger's file.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "PPM")
RESAMPLE = "pillow-bilinear-antialiased"
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


class PictureError(ValueError):
    """A picture that cannot be used; the message says why, without the path."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A picture file that was found.

    Attributes:
        path: the file.
        name: its path below the folder that was searched, with forward slashes.
        label: the folders above it, joined with "/"; "" for a flat folder.
    """

    path: Path
    name: str
    label: str


def find(folder: Path) -> list[Photo]:
    """All files below a folder, in the order of their class and name; hidden ones are left out.

    One folder per class; nested folders join with "/". Files that lie directly in `folder` have no
    label. Whether a file is a picture is seen when it is decoded, whatever its name ends with.

    Raises:
        InputError: the folder, or one below it, does not exist, cannot be read or holds no file.
    """
    if not folder.exists():
        raise InputError(f"{folder} does not exist")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; give the folder that holds the photos")
    names = sorted(_files(folder))
    if not names:
        raise InputError(f"{folder} holds no files; put the photos of each class in a folder below")
    photos = [Photo(path=folder / name, name=name, label=name.rpartition("/")[0]) for name in names]
    return sorted(photos, key=lambda photo: (photo.label, photo.name))


def decode(content: bytes) -> Image.Image:
    """A picture file's bytes as an upright 8-bit RGB image.

    EXIF rotation is applied, 16-bit values are scaled to 8, transparency is laid on white, CMYK and
    palettes become RGB, of an animation the first frame is taken.

    Raises:
        PictureError: not a picture, truncated, or too large to decode safely.
    """
    if not content:
        raise PictureError("empty file")
    Image.init()  # without it only Pillow's five commonest formats are known
    try:
        with warnings.catch_warnings():
            # Pillow refuses decompression bombs at 179 million pixels and only warns from half of
            # that on, where real cameras are; broken EXIF warns too, and is passed over.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                image.load()
                return _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture at the model's size.

    Attributes:
        pixels: (size, size, 3) uint8 RGB.
        sha256: hash of the file.
    """

    pixels: NDArray[np.uint8]
    sha256: str


def read(path: Path, size: int, crop: str) -> Picture:
    """Read one file as the model wants it.

    Raises:
        PictureError: the file cannot be read or is no picture.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PictureError(error.strerror or "cannot be read") from error
    return Picture(
        pixels=square(decode(content), size, crop), sha256=hashlib.sha256(content).hexdigest()
    )


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        return _eight_bit(np.asarray(image, np.float64) / 257)
    if image.mode in ("I", "F"):
        values = np.asarray(image, np.float64)
        return _eight_bit(values / 257 if values.max() > 255 else values)
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert("RGB")
    return image.convert("RGB")


def _eight_bit(grey: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)).convert("RGB")


def _files(folder: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error

    for parent, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        below = Path(parent).relative_to(folder)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if Path(parent).resolve().is_relative_to((Path(parent) / name).resolve()):
                raise InputError(f"{(below / name).as_posix()} links to a folder that it lies in")
        shown = [name for name in files if not name.startswith(".")]
        if not shown and not folders and parent != str(folder):
            raise InputError(f"the class folder {below.as_posix()!r} holds no pictures")
        yield from ((below / name).as_posix() for name in shown)
