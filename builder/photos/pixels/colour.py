"""Convert a picture's values to 8-bit sRGB, as networks and browsers expect."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import TiffImageFile

from pocketknn.builder.photos.photo import PictureError

# For the manifest.
COLOUR = "sRGB; other embedded profiles are converted, and files without one are taken as sRGB"
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_SPACE = slice(16, 20)  # position of the colour space in a profile
_NEAR = 2  # of 255: a profile that moves colours no farther is treated as sRGB
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_KEPT = 32  # cached transforms; a folder holds the photos of few cameras
# For the manifest.
DEPTH = "16-bit values are divided by 257; a grey TIFF with none above 4095 is taken as 12-bit"
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_TWELVE_BITS = 4095
_BITS = 258  # TIFF's tag for the bits of each channel


def rgb(image: Image.Image) -> Image.Image:
    """An 8-bit image as RGB in sRGB, with transparent parts on white.

    Raises:
        PictureError: its pixels have no standard range.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "F":
        raise PictureError("floating-point pixels have no standard range; save it with 8 bits")
    if image.has_transparency_data:
        colours = _to_srgb(image.convert("L" if image.mode == "LA" else "RGB"), profile)
        colours.putalpha(image.convert("RGBA").getchannel("A"))
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(colours)
        return opaque.convert("RGB")
    return _to_srgb(image, profile)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An 8-bit image of any mode without transparency as RGB in sRGB.

    Args:
        image: the original colours.
        profile: their ICC profile. None means sRGB, as does a broken profile or one for another
            kind of picture.
    """
    mode = _MODES.get(profile[_SPACE]) if profile else None
    fits = image.mode != "CMYK" if mode == "RGB" else image.mode == mode
    transform = _transform(profile, mode) if profile and mode and fits else None
    if mode is None or transform is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    plain = image if image.mode == mode else image.convert(mode)
    return ImageCms.applyTransform(plain, transform) or plain


@lru_cache(_KEPT)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB; None if it changes nothing or cannot be built."""
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(given, srgb, mode, "RGB", _INTENT, _FLAGS)
        if mode == "CMYK":
            return transform
        before = _sample().convert(mode)
        after = ImageCms.applyTransform(before, transform) or before
    except (OSError, TypeError, ValueError, ImageCms.PyCMSError):
        return None
    moved = np.asarray(after, np.int16) - np.asarray(before.convert("RGB"), np.int16)
    return transform if np.abs(moved).max() > _NEAR else None


def _sample() -> Image.Image:
    """A grid of colours from the whole RGB cube, and greys."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    return Image.fromarray(np.concatenate([cube, np.repeat(steps, 3).reshape(-1, 3)])[None])


def is_deep_tiff(image: Image.Image) -> bool:
    """Whether it is a TIFF with 16 bits per value."""
    return isinstance(image, TiffImageFile) and 16 in image.tag_v2.get(_BITS, ())


def eight_bit(image: Image.Image, deep_tiff: bool) -> Image.Image:
    """Scale 16-bit values to 8 bits; those of a TIFF may really be 12-bit.

    Args:
        image: of any mode.
        deep_tiff: whether the file was a TIFF with 16 bits per value, as from `is_deep_tiff`.

    Raises:
        PictureError: Pillow has already dropped the low bits.
    """
    if image.mode in _SIXTEEN_BIT:
        values = np.asarray(image, np.float64)
        top = _TWELVE_BITS if deep_tiff and values.max() <= _TWELVE_BITS else 65535
        grey = Image.fromarray(np.clip(np.rint(values * 255 / top), 0, 255).astype(np.uint8))
        grey.info = image.info
        return grey
    if deep_tiff and image.mode == "RGB" and 0 < np.asarray(image).max() <= _TWELVE_BITS >> 8:
        # Pillow has kept only the high bytes.
        raise PictureError(
            "12-bit values in 16-bit colours would look almost black; save it with 8 bits"
        )
    return image
