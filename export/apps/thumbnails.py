"""Small pictures of the references, so that an app can show what it found."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from PIL import ImageOps

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.photo import Photo, PictureError, read
from pocketknn.builder.photos.pixels.decode import decode
from pocketknn.builder.references.match import ByPicture
from pocketknn.export.manifest.metadata import Row
from pocketknn.export.output.names import thumbnail_of

# Side in pixels and JPEG quality, best first; the first that fits the limit is used.
_STEPS = ((160, 80), (112, 75), (80, 70), (56, 60), (40, 50))


def write(
    folder: Path,
    rows: Sequence[Row],
    photos: Sequence[Photo],
    limit: int,
    progress: Callable[[], None] = lambda: None,
) -> dict[int, str]:
    """Write a JPEG for each reference whose photo is among the given photos.

    A photo is recognised by its bytes, wherever it is now: a reference's id starts with its hash.

    Args:
        folder: a new folder.
        rows: the table of references.
        photos: the photos of the build; others are skipped.
        limit: maximum bytes of all thumbnails, shared equally by the references; a picture too
            detailed for its share, even at the smallest size, has no thumbnail.
        progress: called when a photo is done.

    Returns:
        The names of the files in the folder, by index.

    Raises:
        InputError: none of the photos is a reference.
    """
    folder.mkdir()
    by_picture = ByPicture(str(row["id"]) for row in rows)
    share = limit // max(1, len(rows))
    names: dict[int, str] = {}
    known: set[int] = set()
    for photo in photos:
        with suppress(PictureError):
            content = read(photo)
            for place in by_picture.places(content):
                index = int(rows[place]["index"])
                small = None if index in known else _thumbnail(content, share)
                known.add(index)
                if small is not None:
                    names[index] = thumbnail_of(index)
                    (folder / names[index]).write_bytes(small)
        progress()
    if not known:
        raise InputError(
            "none of the photos is a reference: give the photos of the build", "other-photos"
        )
    return names


def _thumbnail(content: bytes, limit: int) -> bytes | None:
    try:
        image = decode(content)
    except PictureError:
        return None
    for side, quality in _STEPS:
        small = io.BytesIO()
        ImageOps.fit(image, (side, side)).save(small, "JPEG", quality=quality, optimize=True)
        if small.tell() <= limit:
            return small.getvalue()
    return None
