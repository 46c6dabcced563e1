"""Texts as members of a zip archive: a .keras file is one, a .tflite file may end in one."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.export.output.names import LABELS, MANIFEST, SEAL, SLOTS, TABLE

DATE = (1980, 1, 1, 0, 0, 0)  # a zip's first day
_OURS = (MANIFEST, TABLE, LABELS, SLOTS, SEAL)
_LARGEST_PACKED = 1 << 24  # bytes of a text that is packed


def append_files(path: Path, files: Mapping[str, str]) -> None:
    """Add texts to a zip archive, or append an archive to a file that is none."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(member(name), text)


def member(name: str) -> zipfile.ZipInfo:
    """A member of an archive, of no time of day."""
    return zipfile.ZipInfo(name, DATE)


def payload(path: Path) -> int:
    """How many bytes stand in a file before the archive that was appended to it."""
    with zipfile.ZipFile(path) as archive:
        return min(info.header_offset for info in archive.infolist())


def read_files(path: Path) -> dict[str, str]:
    """The texts at the top of a zip archive; none where there is no archive.

    Raises:
        InputError: the archive is broken.
    """
    if not zipfile.is_zipfile(path):
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            there = set(archive.namelist())
            found = [archive.getinfo(name) for name in _OURS if name in there]
            for info in found:
                # What we write is not packed, so that no few bytes become very many.
                if info.file_size > max(info.compress_size, _LARGEST_PACKED):
                    raise ValueError(f"{info.filename} would take {info.file_size:,} bytes")
            return {info.filename: archive.read(info).decode() for info in found}
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, RuntimeError) as error:
        reason = str(error) or "it ends early"
        raise InputError(f"{path.name} is a broken archive: {reason}") from error
