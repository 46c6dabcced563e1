"""Pictures of fruit, drawn by code: what the screenshots of the documentation are made from.

They are ours to publish, unlike photographs. No two are the same: background, light, size, turn and
colour vary.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 240  # of a picture, in pixels
_FINE = 2  # drawn at twice the size and scaled down, so that edges are smooth
Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]


def write(folder: Path, photos: int = 24, seed: int = 0) -> Path:
    """Write a folder for each kind of fruit."""
    for number, fruit in enumerate(FRUIT):
        (folder / fruit).mkdir(parents=True, exist_ok=True)
        for i in range(photos):
            drawn(fruit, 1000 * seed + 100 * number + i).save(
                folder / fruit / f"{i + 1:02}.jpg", quality=88
            )
    return folder


def drawn(fruit: str, seed: int) -> Image.Image:
    """One picture of a fruit on a table."""
    rng = np.random.default_rng(seed)
    side = SIDE * _FINE
    scene = _table(rng, side)
    layer = Image.new("RGBA", (side, side))
    shape, colour = FRUIT[fruit]
    red, green, blue = np.clip(colour + rng.normal(0, 22, 3), 0, 255).astype(int).tolist()
    shape(ImageDraw.Draw(layer), side, (red, green, blue))
    turn, scale = rng.uniform(-50, 50), rng.uniform(0.55, 0.95)
    layer = layer.rotate(turn, Image.Resampling.BICUBIC)
    small = layer.resize((int(side * scale),) * 2, Image.Resampling.LANCZOS)
    room = side - small.width
    left, top = (room / 2 + rng.uniform(-0.5, 0.5, 2) * (room / 2 + side / 12)).astype(int).tolist()
    shadow = Image.new("RGBA", small.size, (0, 0, 0, 0))
    shadow.putalpha(small.getchannel("A").point(lambda a: a * 0.45))
    shadow = shadow.filter(ImageFilter.GaussianBlur(side / 40))
    scene.paste(shadow, (left + side // 30, top + side // 22), shadow)
    scene.paste(small, (left, top), small)
    return _taken(scene.resize((SIDE, SIDE), Image.Resampling.LANCZOS), rng)


def _table(rng: np.random.Generator, side: int) -> Image.Image:
    """A background: two colours that run into each other, with a grain."""
    wood = np.array(
        [[186, 148, 108], [120, 130, 138], [214, 208, 196], [92, 112, 92], [70, 74, 92]]
    )
    first, second = wood[rng.choice(len(wood), 2, replace=False)]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:side, 0:side] / side
    along = np.clip((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) + 0.5, 0, 1)[..., None]
    grain = rng.normal(0, 9, (side // 8, 1, 1)).repeat(8, 0) * np.ones((1, side, 1))
    pixels = first * (1 - along) + second * along + grain[:side]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _taken(scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    """As a camera takes it: lighter or darker, a little out of focus, with noise."""
    scene = scene.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.6)))
    pixels = np.asarray(scene) * rng.uniform(0.6, 1.2) + rng.normal(0, 3, (SIDE, SIDE, 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _ball(draw: ImageDraw.ImageDraw, box: Box, colour: Colour) -> None:
    """A lit ellipse: rings from dark at the rim to light where the lamp is."""
    left, top, right, bottom = box
    for ring in np.linspace(0, 1, 40):
        light = 0.72 + 0.4 * ring
        fill = tuple(min(255, int(c * light + 40 * max(0, ring - 0.8))) for c in colour)
        keep = 0.5 * ring * 0.92
        w, h = right - left, bottom - top
        draw.ellipse(
            (
                left + w * keep * 0.8,
                top + h * keep * 0.7,
                right - w * keep * 1.2,
                bottom - h * keep * 1.3,
            ),
            fill=fill,
        )


def _stem(draw: ImageDraw.ImageDraw, side: int, points: list[tuple[float, float]]) -> None:
    draw.line([(x * side, y * side) for x, y in points], fill=(94, 66, 38), width=side // 40)


def _apple(draw: ImageDraw.ImageDraw, side: int, colour: Colour) -> None:
    _ball(draw, (0.2 * side, 0.26 * side, 0.8 * side, 0.84 * side), colour)
    draw.ellipse(
        (0.42 * side, 0.25 * side, 0.58 * side, 0.32 * side),
        fill=tuple(int(c * 0.6) for c in colour),
    )
    _stem(draw, side, [(0.5, 0.3), (0.52, 0.2), (0.56, 0.14)])
    draw.ellipse((0.55 * side, 0.13 * side, 0.74 * side, 0.22 * side), fill=(84, 138, 62))


def _pear(draw: ImageDraw.ImageDraw, side: int, colour: Colour) -> None:
    dark = tuple(int(c * 0.74) for c in colour)
    draw.polygon(
        [
            (0.39 * side, 0.3 * side),
            (0.61 * side, 0.3 * side),
            (0.76 * side, 0.6 * side),
            (0.24 * side, 0.6 * side),
        ],
        fill=dark,
    )
    _ball(draw, (0.37 * side, 0.17 * side, 0.63 * side, 0.46 * side), colour)
    _ball(draw, (0.22 * side, 0.4 * side, 0.78 * side, 0.9 * side), colour)
    _stem(draw, side, [(0.5, 0.19), (0.52, 0.1), (0.57, 0.06)])


def _lemon(draw: ImageDraw.ImageDraw, side: int, colour: Colour) -> None:
    dark = tuple(int(c * 0.8) for c in colour)
    draw.ellipse((0.1 * side, 0.44 * side, 0.26 * side, 0.56 * side), fill=dark)
    draw.ellipse((0.74 * side, 0.44 * side, 0.9 * side, 0.56 * side), fill=dark)
    _ball(draw, (0.15 * side, 0.3 * side, 0.85 * side, 0.7 * side), colour)


def _banana(draw: ImageDraw.ImageDraw, side: int, colour: Colour) -> None:
    angles = np.radians(np.linspace(15, 165, 40))
    middle, reach = np.array([0.5, 0.2]), 0.41
    for shade, inset in ((0.75, 0.0), (0.95, 0.02), (1.1, 0.045)):
        width = (0.085 - inset) * np.sin(np.linspace(0.18, np.pi - 0.18, 40)) ** 0.5
        arc = np.stack([np.cos(angles), np.sin(angles)], 1)
        outer = middle + arc * (reach + width)[:, None]
        inner = middle + arc * (reach - width)[:, None]
        points = [tuple(p * side) for p in (*outer, *inner[::-1])]
        draw.polygon(points, fill=tuple(min(255, int(c * shade)) for c in colour))
    for end in (0, -1):
        x, y = (middle + np.array([np.cos(angles[end]), np.sin(angles[end])]) * reach) * side
        r = side * 0.03
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(98, 78, 38))


def _cherry(draw: ImageDraw.ImageDraw, side: int, colour: Colour) -> None:
    _stem(draw, side, [(0.32, 0.6), (0.42, 0.35), (0.6, 0.14)])
    _stem(draw, side, [(0.7, 0.66), (0.66, 0.4), (0.6, 0.14)])
    _ball(draw, (0.17 * side, 0.54 * side, 0.47 * side, 0.84 * side), colour)
    _ball(draw, (0.54 * side, 0.6 * side, 0.84 * side, 0.9 * side), colour)


FRUIT: dict[str, tuple[Callable[[ImageDraw.ImageDraw, int, Colour], None], Colour]] = {
    "apple": (_apple, (196, 58, 46)),
    "banana": (_banana, (228, 196, 62)),
    "cherry": (_cherry, (150, 20, 44)),
    "lemon": (_lemon, (236, 212, 70)),
    "pear": (_pear, (172, 182, 74)),
}
