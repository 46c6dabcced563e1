"""Photos in a folder of class folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pocketknn.builder.errors import InputError

from .names import Note, is_litter
from .photo import Photo
from .readers import LocalFile


def photos_in(folder: Path, note: Note) -> Iterator[Photo]:
    """All files of a folder but those that systems write for themselves.

    Args:
        folder: with a folder per class, nested ones too, or a flat one.
        note: told of folders without photos.

    Raises:
        InputError: it cannot be read, or a link in it leads to a folder above.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error

    with_files: set[Path] = set()
    empty: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(parent)
        absolute = str(here.absolute())
        below = here.relative_to(folder)
        folders[:] = [name for name in folders if not is_litter(name)]
        for name in folders:
            if here.resolve().is_relative_to((here / name).resolve()):
                raise InputError(f"{(below / name).as_posix()} links to a folder that it lies in")
        shown = [name for name in files if not is_litter(name)]
        if shown and here != folder:
            with_files.add(below)
        elif not folders and here != folder:
            empty.append(below)
        for name in shown:
            yield Photo.in_folders((below / name).as_posix(), LocalFile(f"{absolute}/{name}"))
    for below in empty:
        if below.parent not in with_files:  # an empty folder beside a class's pictures is no class
            note(f"warning: the folder {below.as_posix()!r} is empty, so it is no class")
