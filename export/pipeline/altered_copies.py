"""Altered copies of reference photos, as on the web, to test if a search finds the originals."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.embedding.local import run
from pocketknn.builder.knn.validation.image_search import Copies
from pocketknn.builder.photos.photo import drawn

if TYPE_CHECKING:
    from .material import Material

_PHOTOS = 60  # each is embedded four times, which takes seconds
_KEPT, _QUALITY = 0.85, 50  # share of the sides; JPEG quality
Pixels = NDArray[np.uint8]


def altered_copies(found: Material) -> Mapping[str, Copies] | None:
    """Embeddings of some photos, mirrored, cropped and encoded again.

    None if the head is not a search, or if no photos are available.
    """
    spec, references, squares = found.spec, found.references, found.squares
    head = spec.head or next(name for name, one in HEADS.items() if one.usual(references))
    search = not (HEADS[head].CLASSES or HEADS[head].NUMBERS)
    if not (search and squares and found.backbone and found.photos):
        return None
    some = list(islice(drawn(found.photos, squares.of, spec.seed), _PHOTOS))
    rows = np.array([row for row, _ in some])
    return {
        name: Copies(rows, run(found.backbone, np.stack([change(one) for _, one in some])))
        for name, change in _CHANGES.items()
    }


def _mirrored(square: Pixels) -> Pixels:
    return square[:, ::-1]


def _cropped(square: Pixels) -> Pixels:
    size = len(square)
    edge = size * (1 - _KEPT) / 2
    box = (edge, edge, size - edge, size - edge)
    made = Image.fromarray(square).resize((size, size), Image.Resampling.BILINEAR, box=box)
    return np.asarray(made)


def _encoded(square: Pixels) -> Pixels:
    written = io.BytesIO()
    Image.fromarray(square).save(written, "JPEG", quality=_QUALITY)
    return np.asarray(Image.open(written))


_CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "mirrored": _mirrored,
    "cropped": _cropped,
    "encoded again": _encoded,
    "all three": lambda square: _encoded(_cropped(_mirrored(square))),
}
