"""Find photos in a folder, a table, a zip or tar archive, or at an address."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from itertools import groupby, islice
from pathlib import Path

from pocketknn.builder.errors import InputError

from . import archives, tables
from .class_names import check_classes
from .occasions import FOLDERS, TIME, is_column, with_occasions
from .photo import Note, Photo, is_litter
from .readers import LocalFile, check_file
from .remote import photos_at, place_of, was_address

_TRAIN = ("train", "training")
_PARTS = (*_TRAIN, "val", "valid", "validation", "dev", "test", "testing", "eval")


def find(
    place: Path | str,
    *,
    path_column: str = "path",
    label_column: str | None = None,
    target_columns: Sequence[str] = (),
    occasions: str | None = None,
    exclude: Sequence[str] = (),
    limit: int | None = None,
    note: Note = lambda line: None,
) -> list[Photo]:
    """All photos in a place, sorted by class and name.

    Args:
        place: a folder with a folder per class (nested names are joined with "/"), or a flat one; a
            CSV or Parquet table of paths, relative to the table, and labels; a zip or tar archive
            of folders; or, as a string, the address of folders in a store supported by fsspec, such
            as s3://bucket/photos. Hidden files and operating system files are ignored. Whether a
            file is a picture is decided by decoding it, not by its extension.
        path_column: the table's column of paths.
        label_column: the table's column of labels; None for "label" if it exists.
        target_columns: the table's columns of numbers for regression.
        occasions: how to find the occasion of a photo: `folders` (subfolders of the class folder),
            `time` (EXIF), or a column of a table; None if unknown.
        exclude: patterns such as `*_small.jpg` or `drafts/*`, matched against each name.
        limit: maximum number of photos per class, the first by name.
        note: called with warnings about folders without photos and names that may be garbled.

    Raises:
        InputError: the place does not exist, cannot be read, holds no photo, is split into
            folders such as train and test, or no photo has an occasion.
    """
    if isinstance(place, str):
        place = place_of(place)
    if isinstance(place, Path):
        if not place.exists():
            if address := was_address(place):
                raise InputError(
                    f"{address} is an address, but the photos must be on this machine: copy them",
                    "address-not-read",
                )
            raise InputError(f"{place} does not exist", "file-not-found")
        check_file(place)
    if limit is not None and limit < 1:
        raise InputError(f"the limit must be at least 1, not {limit}", "count-too-small")
    photos = [
        photo
        for photo in _from(place, path_column, label_column, target_columns, occasions, note)
        if not any(fnmatch(photo.name, pattern) for pattern in exclude)
    ]
    if not photos:
        raise InputError(
            f"{place} holds no files; put the photos of each class in a subfolder", "no-photos"
        )
    for photo in photos:  # names are written into the label and reference tables
        if not photo.name.isprintable() and any("\udc80" <= c <= "\udcff" for c in photo.name):
            raise InputError(f"the name {photo.name!r} {not_utf_8()}", "name-not-utf8")
    if not Path(place).name.lower().endswith(tables.ENDINGS):
        _refuse_splits(place, photos)
    if occasions is not None:
        photos = with_occasions(photos, occasions, note)
    check_classes({photo.label for photo in photos})
    photos.sort(key=lambda photo: (photo.label, photo.name))
    classes = groupby(photos, lambda photo: photo.label)
    most = None if limit is None else min(limit, len(photos))  # `islice` takes no huge numbers
    return [photo for _, same in classes for photo in islice(same, most)]


def not_utf_8() -> str:
    """What is wrong with a name that cannot be decoded, as the end of a sentence."""
    encoding = sys.getfilesystemencoding()
    if encoding == "utf-8":
        return "is not UTF-8; rename it"
    return f"cannot be decoded as {encoding}, the encoding of this session; set PYTHONUTF8=1"


def _refuse_splits(place: Path | str, photos: Iterable[Photo]) -> None:
    """Check that the folders are not a split, such as train and test with the same classes.

    Raises:
        InputError: they are a split; the message says which folders to use.
    """
    classes: dict[str, set[str]] = {}
    for photo in photos:
        part, _, label = photo.label.partition("/")
        classes.setdefault(part, set()).add(label)
    parts = sorted(classes)
    train = [part for part in parts if part.lower() in _TRAIN]
    split = len(train) == 1 < len(parts) and all(part.lower() in _PARTS for part in parts)
    if split and set.intersection(*classes.values()) - {""}:
        others = [part for part in parts if part not in train]
        raise InputError(
            f"{place} is split into {', '.join(parts)}; build from {place}/{train[0]}, then"
            f" evaluate on {' and '.join(f'{place}/{part}' for part in others)}",
            "train-test-split",
        )


def _from(
    place: Path | str,
    path_column: str,
    label_column: str | None,
    target_columns: Sequence[str],
    occasions: str | None,
    note: Note,
) -> Iterable[Photo]:
    name = Path(place).name.lower()
    if isinstance(place, Path) and name.endswith(tables.ENDINGS) and not place.is_dir():
        if occasions == FOLDERS:
            raise InputError(
                f"--occasions {FOLDERS} needs a folder; for {place.name}, name one of its columns",
                "occasions-not-applicable",
            )
        column = occasions if is_column(occasions) else None
        return tables.photos_of(place, path_column, label_column, target_columns, column)
    if target_columns:
        raise InputError(
            f"targets need a .csv or .parquet table; {place} is not one", "targets-need-table"
        )
    if is_column(occasions):
        raise InputError(
            f"--occasions must be {FOLDERS} or {TIME}, not {occasions!r}, as {place} is not a table"
            " with columns",
            "occasions-not-applicable",
        )
    if isinstance(place, str):
        return photos_at(place)
    if place.is_dir():
        return _in_folders(place, note)
    if archives.is_archive(name):
        return archives.photos_in(place, note)
    raise InputError(
        f"{place} is a file; give a folder of photos, a .csv or .parquet table, a .zip or a .tar",
        "not-a-photo-place",
    )


def _in_folders(folder: Path, note: Note) -> Iterator[Photo]:
    """All files in a folder, except operating system files.

    Args:
        folder: holds a folder per class, possibly nested, or the files themselves.
        note: called with warnings about folders without photos.

    Raises:
        InputError: it cannot be read, or contains a link to a parent folder.
    """

    def refuse(error: OSError) -> None:
        raise InputError(
            f"{error.filename} cannot be read: {error.strerror}", "unreadable-file"
        ) from error

    with_files: set[Path] = set()
    empty: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(parent)
        absolute = str(here.absolute())
        below = here.relative_to(folder)
        folders[:] = [name for name in folders if not is_litter(name)]
        for name in folders:
            if here.resolve().is_relative_to((here / name).resolve()):
                raise InputError(
                    f"{(below / name).as_posix()} links to one of its parent folders", "link-loop"
                )
        shown = [name for name in files if not is_litter(name)]
        if shown and here != folder:
            with_files.add(below)
        elif not folders and here != folder:
            empty.append(below)
        for name in shown:
            yield Photo.in_folders((below / name).as_posix(), LocalFile(f"{absolute}/{name}"))
    for below in empty:
        if below.parent not in with_files:  # an empty folder beside pictures is harmless
            note(f"warning: the folder {below.as_posix()!r} is empty, so it is not a class")
