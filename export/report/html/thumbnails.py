"""Thumbnails for the page, as data URIs; each is stored once, however often it is shown."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from pocketknn.builder.photos.photo import Photo, PictureError, read
from pocketknn.builder.photos.pixels.crop import square
from pocketknn.builder.photos.pixels.decode import decode
from pocketknn.builder.photos.readers import read_file

MOST = 600  # about a megabyte
_SIDE = 96  # pixels: sharp on a phone, which shows it at half the size
_QUALITY = 60
_READERS = 4
_MADE = re.compile(
    r'<image id="(r\d+)" width="\d+" height="\d+" href="(data:image/webp;base64,[A-Za-z0-9+/=]+)"'
)


def make(
    wanted: Iterable[str],
    photo_of: Callable[[str], Photo | None],
    crop: str,
    kept: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """A data URI for each of the first `MOST` keys with an available picture.

    Args:
        wanted: the keys, the most important first.
        photo_of: the photo of a key, or None.
        crop: how the model crops pictures.
        kept: thumbnails made earlier.
    """
    chosen = list(dict.fromkeys(wanted))[:MOST]
    with ThreadPoolExecutor(_READERS) as readers:
        made = readers.map(lambda key: kept.get(key) or _thumbnail(photo_of(key), crop), chosen)
        return {key: uri for key, uri in zip(chosen, made, strict=True) if uri}


def of_earlier(page: Path) -> dict[str, str]:
    """The thumbnails of the references on an earlier page; {} if there is none."""
    try:
        return dict(_MADE.findall(read_file(page).decode("utf-8")))
    except (OSError, UnicodeDecodeError):
        return {}


def _thumbnail(photo: Photo | None, crop: str) -> str:
    if photo is None:
        return ""
    try:
        small = square(decode(read(photo), at_least=2 * _SIDE), _SIDE, crop)
    except PictureError:  # it was readable when embedded, but may be gone by now
        return ""
    packed = io.BytesIO()
    Image.fromarray(small).save(packed, "WEBP", quality=_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(packed.getvalue()).decode()
