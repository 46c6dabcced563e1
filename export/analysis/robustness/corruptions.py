"""Photos as they might have been taken: rotated, closer, darker, blurred."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pocketknn.builder.photos.pixels.crop import Resize, bilinear, square
from pocketknn.builder.spec import CROPS

Square = NDArray[np.uint8]  # (size, size, 3)
Strength = float | str
# Maps a photo, a strength and a source of noise to the model's input.
Make = Callable[[Image.Image, Strength, np.random.Generator], Square]
_AS_IT_IS = "none"
_ENOUGH = 4  # times the model's size; rotating at full camera resolution would take minutes


class Shift(NamedTuple):
    """One way in which photos may differ from those that a model was built from.

    Attributes:
        name: its name.
        unit: the unit of its strengths; `levels` are pixel levels, 0..255; "" if the strengths are
            names.
        plain: the strength that changes nothing.
        strengths: the strengths to measure, in order, including `plain`.
        make: turns a photo into the model's square input.
    """

    name: str
    unit: str
    plain: Strength
    strengths: tuple[Strength, ...]
    make: Make


def shifts(size: int, crop: str) -> tuple[Shift, ...]:
    """All shifts, for a model of this size and crop.

    Rotation and scale apply to the photo before it is cropped; beyond its edges it is mirrored.
    Brightness, blur, noise and JPEG apply to the model's square input, so that a strength means the
    same for photos of any size; applied to a larger photo, they would have less effect.
    """

    def photo(change: Callable[[Image.Image, float], Image.Image], plain: float) -> Make:
        def make(image: Image.Image, strength: Strength, rng: np.random.Generator) -> Square:
            if strength != plain:
                image = change(_reduced(image, _ENOUGH * size), float(strength))
            return square(image, size, crop)

        return make

    def pixels(change: Callable[[Square, float, np.random.Generator], Square]) -> Make:
        return lambda image, by, rng: change(square(image, size, crop), float(by), rng)

    def resized(image: Image.Image, by: Strength, rng: np.random.Generator) -> Square:
        return square(image, size, crop, resize=_RESAMPLERS[str(by)])

    def cropped(image: Image.Image, by: Strength, rng: np.random.Generator) -> Square:
        return square(image, size, str(by))

    def jpeg(image: Image.Image, by: Strength, rng: np.random.Generator) -> Square:
        plain = square(image, size, crop)
        return plain if by == _AS_IT_IS else compressed(plain, int(by))

    bright = pixels(lambda values, by, rng: brightened(values, by))
    blur = pixels(lambda values, by, rng: blurred(values, by))
    crops = (crop, *(one for one in CROPS if one != crop))
    return (
        Shift("rotation", "degrees", 0, (0, 5, 15, 30, 60, 90, 180), photo(turned, 0)),
        Shift("scale", "times", 1, (0.5, 0.7, 0.85, 1, 1.2, 1.5, 2), photo(scaled, 1)),
        Shift("brightness", "times", 1, (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2), bright),
        Shift("blur", "% of side", 0, (0, 0.5, 1, 2, 4), blur),
        Shift("noise", "levels", 0, (0, 5, 10, 20, 40), pixels(noisy)),
        Shift("jpeg", "% quality", _AS_IT_IS, (_AS_IT_IS, 90, 70, 50, 30, 10), jpeg),
        Shift("crop", "", crop, crops, cropped),
        Shift("resampler", "", "bilinear", tuple(_RESAMPLERS), resized),
    )


def turned(image: Image.Image, degrees: float) -> Image.Image:
    """A photo rotated counter-clockwise about its centre, at the same size."""
    width, height = image.size
    diagonal = math.hypot(width, height)
    wide = _mirrored(image, math.ceil((diagonal - width) / 2), math.ceil((diagonal - height) / 2))
    return _middle(wide.rotate(degrees, Image.Resampling.BILINEAR), width, height)


def scaled(image: Image.Image, factor: float) -> Image.Image:
    """A photo as if taken closer (factor above 1) or farther away, mirrored beyond its edges."""
    width, height = (max(1, round(length / factor)) for length in image.size)
    across, down = (
        max(0, math.ceil((wanted - given) / 2))
        for wanted, given in zip((width, height), image.size, strict=True)
    )
    return _middle(_mirrored(image, across, down), width, height)


def brightened(pixels: Square, factor: float) -> Square:
    """Multiply all values by a factor; values above white become white."""
    return _whole(pixels.astype(np.float64) * factor)


def blurred(pixels: Square, percent: float) -> Square:
    """Blur with a Gaussian; its standard deviation is a percentage of the side."""
    sigma = percent / 100 * len(pixels)
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))


def noisy(pixels: Square, deviation: float, rng: np.random.Generator) -> Square:
    """Add Gaussian noise of this standard deviation to each value."""
    return _whole(pixels + deviation * rng.standard_normal(pixels.shape))


def compressed(pixels: Square, quality: int) -> Square:
    """Save as JPEG and open again."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as image:
        return np.asarray(image.convert("RGB"))


def _whole(values: NDArray[np.float64]) -> Square:
    rounded: Square = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def _reduced(image: Image.Image, minimum: int) -> Image.Image:
    """A photo with fewer pixels, but still at least `minimum` on its shorter side if possible."""
    factor = min(image.size) // minimum
    return image.reduce(factor) if factor > 1 else image


def _mirrored(image: Image.Image, across: int, down: int) -> Image.Image:
    """A photo extended by mirrored margins."""
    if not across and not down:
        return image
    return Image.fromarray(
        np.pad(np.asarray(image), ((down, down), (across, across), (0, 0)), "symmetric")
    )


def _middle(image: Image.Image, width: int, height: int) -> Image.Image:
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _sampled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize by interpolating only four pixels, as `tf.image.resize` does by default."""
    box = (0, 0, *image.size)
    return image.transform(size, Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)


_RESAMPLERS: dict[str, Resize] = {
    "bilinear": bilinear,
    "aliased": _sampled,
    "nearest": partial(Image.Image.resize, resample=Image.Resampling.NEAREST),
    "box": partial(Image.Image.resize, resample=Image.Resampling.BOX),
    "bicubic": partial(Image.Image.resize, resample=Image.Resampling.BICUBIC),
    "lanczos": partial(Image.Image.resize, resample=Image.Resampling.LANCZOS),
}
