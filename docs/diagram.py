"""The diagram of README: folders of photos on the left, four files on the right, as SVG."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

WIDTH, HEIGHT = 920, 300
SMALL = 48  # side of a photo, in pixels
FILES = (
    ("model.tflite", "Android, Raspberry Pi"),
    ("model.mlpackage", "iPhone, Mac"),
    ("model.onnx", "browser, server"),
    ("model.keras", "Python"),
)
STYLE = """
text { font-family: ui-sans-serif, system-ui, sans-serif; font-size: 15px; fill: #24292f }
.name { font-family: ui-monospace, monospace; font-weight: 600 }
.quiet { font-size: 13px; fill: #57606a }
.box { fill: #f6f8fa; stroke: #d0d7de; stroke-width: 1.5 }
.arrow { stroke: #57606a; stroke-width: 2; fill: none; marker-end: url(#head) }
"""


def diagram(photos: Path) -> str:
    """The picture for a folder with one folder per class; its first photos are in it."""
    folders = sorted(path for path in photos.iterdir() if path.is_dir())[:4]
    step = (HEIGHT - 40) / len(folders)
    parts = [_folder(one, 30 + step * i) for i, one in enumerate(folders)]
    parts += [_file(*one, 30 + (HEIGHT - 40) / len(FILES) * i) for i, one in enumerate(FILES)]
    parts += [
        '<rect class="box" x="372" y="75" width="206" height="150" rx="10"/>',
        '<text class="name" x="475" y="112" text-anchor="middle">one graph</text>',
        '<text class="quiet" x="475" y="142" text-anchor="middle">image → embedding</text>',
        '<text class="quiet" x="475" y="164" text-anchor="middle">→ nearest of your photos</text>',
        '<text class="quiet" x="475" y="186" text-anchor="middle">→ class, or unknown</text>',
        '<path class="arrow" d="M312 150 H362"/>',
        '<path class="arrow" d="M584 150 H634"/>',
    ]
    head = (
        '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="6" refY="4" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#57606a"/></marker></defs>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" role="img" '
        'aria-label="Folders of photos become four model files">'
        f"<style>{STYLE}</style>{head}"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff" rx="12"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _folder(folder: Path, y: float) -> str:
    names = sorted(folder.iterdir())[:3]
    shown = "".join(
        f'<image x="{140 + i * (SMALL + 8)}" y="{y}" width="{SMALL}" height="{SMALL}" '
        f'href="{_inside(name)}"/>'
        for i, name in enumerate(names)
    )
    return f'<text class="name" x="24" y="{y + SMALL / 2 + 5}">{folder.name}/</text>{shown}'


def _file(name: str, where: str, y: float) -> str:
    return (
        f'<rect class="box" x="644" y="{y - 4}" width="252" height="{SMALL + 8}" rx="8"/>'
        f'<text class="name" x="660" y="{y + 19}">{name}</text>'
        f'<text class="quiet" x="660" y="{y + 40}">{where}</text>'
    )


def _inside(path: Path) -> str:
    """The picture as a data URL, at twice the size that it is shown at."""
    with Image.open(path) as picture:
        small = picture.resize((2 * SMALL, 2 * SMALL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
