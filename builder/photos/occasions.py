"""The occasions on which photos were taken, such as one walk, one shop or one video.

Photos of one occasion resemble each other in light and background too, so measurements hold them
out together.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pocketknn.builder.errors import InputError
from pocketknn.builder.wording import counted

from .photo import Note, Photo, PictureError, read

FOLDERS, TIME = "folders", "time"
_GAP = timedelta(minutes=30)  # a longer gap between photos starts another occasion
_EXIF, _TAKEN = 0x8769, 0x9003  # the EXIF directory that holds DateTimeOriginal, and its tag


def is_column(how: str | None) -> bool:
    """Whether occasions are in a column of a table."""
    return how not in (None, FOLDERS, TIME)


def with_occasions(photos: Sequence[Photo], how: str, note: Note) -> list[Photo]:
    """The photos with their occasions, from folders or times.

    Args:
        photos: with the full folder path as the class.
        how: `FOLDERS`: the first folder is the class, and those below it the occasion, which may
            span several classes. `TIME`: photos of any class less than half an hour apart, by
            EXIF's DateTimeOriginal. Otherwise a column, which was read with the table.
        note: called with the number of photos without an occasion; each is an occasion of its own.

    Raises:
        InputError: no photo has an occasion.
    """
    found = _by_time(photos) if how == TIME else _by_folder(photos) if how == FOLDERS else photos
    alone = sum(not photo.occasion for photo in found)
    if alone == len(found):
        raise InputError(
            {
                FOLDERS: "--occasions folders: no photo is in a subfolder of its class folder,"
                " as in CLASS/OCCASION/photo.jpg",
                TIME: "--occasions time: no photo has a DateTimeOriginal in its EXIF;"
                " use folders or a table's column",
            }.get(how, f"--occasions {how}: the column is empty"),
            "no-occasions",
        )
    if alone:
        note(
            f"{alone} of {counted(len(found), 'photo')} {'has' if alone == 1 else 'have'} no"
            f" {'time' if how == TIME else 'occasion'}; each counts as an occasion of its own"
        )
    return list(found)


def _by_folder(photos: Sequence[Photo]) -> list[Photo]:
    found = []
    for photo in photos:
        label, _, occasion = photo.label.partition("/")
        found.append(replace(photo, label=label, occasion=occasion))
    return found


def _by_time(photos: Sequence[Photo]) -> list[Photo]:
    times = [_taken(photo) for photo in photos]
    names: dict[datetime, str] = {}
    first = last = None
    for time in sorted({time for time in times if time}):
        if first is None or last is None or time - last > _GAP:
            first = time
        names[time], last = str(first), time
    return [
        replace(photo, occasion=names[time] if time else "")
        for photo, time in zip(photos, times, strict=True)
    ]


def _taken(photo: Photo) -> datetime | None:
    """When a photo was taken, from its EXIF; None if missing."""
    from PIL import Image

    from .pixels.decode import formats

    try:
        with Image.open(io.BytesIO(read(photo)), formats=formats()) as image:
            text = image.getexif().get_ifd(_EXIF).get(_TAKEN)
        return datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except (
        *(PictureError, Image.DecompressionBombError),
        *(OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, TypeError),
    ):
        return None
