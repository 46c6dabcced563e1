"""Texts as members of a zip archive: a .keras file is one, a .tflite file may end in one."""

from __future__ import annotations

import zipfile
from pathlib import Path

from pocketknn.builder.errors import InputError

_DATE = (1980, 1, 1, 0, 0, 0)  # a zip's first day: the same bytes on every run


def append_files(path: Path, files: dict[str, str]) -> None:
    """Add texts to a zip archive, or append an archive to a file that is none."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), text)


def read_files(path: Path) -> dict[str, str]:
    """The texts at the top of a zip archive; none where there is no archive.

    Raises:
        InputError: the archive is broken.
    """
    if not zipfile.is_zipfile(path):
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith((".json", ".csv", ".txt"))]
            return {name: archive.read(name).decode() for name in names if "/" not in name}
    except (zipfile.BadZipFile, UnicodeDecodeError, OSError, NotImplementedError) as error:
        raise InputError(f"{path.name} is a broken archive: {error}") from error
