"""Colours as a picture's profile means them, in sRGB, which networks and browsers expect."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from .photo import PictureError

# In the words of the manifest.
COLOUR = "sRGB; another profile in the file is converted, without one the numbers are taken for it"
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_SPACE = slice(16, 20)  # where a profile names its colour space
_NEAR = 2  # of 255: a profile that moves no colour farther is sRGB, by whatever name
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_KEPT = 32  # transforms; a folder holds the photos of few cameras


def rgb(image: Image.Image) -> Image.Image:
    """An image of 8 bits as RGB in sRGB, transparency on white.

    Raises:
        PictureError: its pixels have no agreed meaning.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "F":
        raise PictureError("floating-point pixels, which have no agreed range; save it as 8 bit")
    if image.has_transparency_data:
        colours = _to_srgb(image.convert("L" if image.mode == "LA" else "RGB"), profile)
        colours.putalpha(image.convert("RGBA").getchannel("A"))
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(colours)
        return opaque.convert("RGB")
    return _to_srgb(image, profile)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An image of any mode of 8 bit without transparency as RGB, its colours in sRGB.

    Args:
        image: its own colours.
        profile: the ICC profile that says what they mean. None is sRGB, and so is one that is
            broken or of another kind of picture.
    """
    mode = _MODES.get(profile[_SPACE]) if profile else None
    fits = image.mode != "CMYK" if mode == "RGB" else image.mode == mode
    transform = _transform(profile, mode) if profile and mode and fits else None
    if mode is None or transform is None:
        return image.convert("RGB")
    plain = image if image.mode == mode else image.convert(mode)
    return ImageCms.applyTransform(plain, transform) or plain


@lru_cache(_KEPT)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What brings a profile's colours to sRGB; None where that changes nothing, or cannot be."""
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
    """Colours from all of the cube, and greys."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    return Image.fromarray(np.concatenate([cube, np.repeat(steps, 3).reshape(-1, 3)])[None])
