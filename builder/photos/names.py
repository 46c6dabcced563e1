"""What the names of photos say: which are none, which were garbled, which are of a split."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from pocketknn.builder.errors import InputError

from .photo import Photo

Note = Callable[[str], None]  # takes a line for people

# Written by systems beside people's own files.
_LITTER = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin")
_TRAIN = ("train", "training")
_PARTS = (*_TRAIN, "val", "valid", "validation", "dev", "test", "testing", "eval")
_UTF8 = 0x800  # a zip's mark of names in UTF-8; others are CP437, as zips are defined


def is_litter(part: str) -> bool:
    """Whether a file or folder is hidden, or one that a system wrote for itself."""
    return part.startswith(".") or part.lower() in _LITTER


def of_zip(named: Sequence[tuple[str, int]], note: Note) -> list[str]:
    """The names in a zip as they were written, with forward slashes.

    Args:
        named: each name as zipfile gives it, and its flags.
        note: told where names are in an encoding that the zip does not say.
    """
    unsaid = [not flags & _UTF8 and not name.isascii() for name, flags in named]
    read = [_as_utf8(name) if odd else name for (name, _), odd in zip(named, unsaid, strict=True)]
    names = [name or given for name, (given, _) in zip(read, named, strict=True)]
    guessed = [given for name, (given, _) in zip(read, named, strict=True) if name is None]
    if guessed:
        note(
            f"warning: the encoding of {len(guessed)} of the zip's names is unknown; they may be"
            f" garbled, such as {guessed[0]!r}; unpack it with their encoding and give the folder"
        )
    if not any("/" in name for name in names):  # Windows wrote it, against the rule of zips
        names = [name.replace("\\", "/") for name in names]
    return names


def relative(places: Sequence[str], folder: Path) -> list[str]:
    """Names for the places in a table, of which none says where on this machine it lies.

    Those below the table's folder are named from there, others that are absolute from the folder
    that they share.
    """
    inside = [_below(place, folder) for place in places]
    outside = [place for place, name in zip(places, inside, strict=True) if name is None]
    shared = os.path.commonpath([Path(place).parent for place in outside]) if outside else ""
    return [
        Path(place).relative_to(shared).as_posix() if name is None else name
        for place, name in zip(places, inside, strict=True)
    ]


def refuse_splits(place: Path | str, photos: Iterable[Photo]) -> None:
    """Refuse folders such as train and test that hold the same classes.

    Raises:
        InputError: they do; it says what to type.
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
            f"{place} is a split into {', '.join(parts)}; build from {place}/{train[0]}, and then"
            f" evaluate on {' and '.join(f'{place}/{part}' for part in others)}"
        )


def _as_utf8(name: str) -> str | None:
    """A name that was taken for CP437 though it is UTF-8, which many tools do not say."""
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return None


def _below(place: str, folder: Path) -> str | None:
    """The name from a folder; None of an absolute place elsewhere."""
    path = Path(place)
    if not path.is_absolute():
        return PurePosixPath(place).as_posix()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None
