"""Hashes of files that may be larger than memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

_BLOCK = 1 << 20


class Digest(Protocol):
    """What hashlib makes."""

    def update(self, data: Any, /) -> None:  # noqa: ANN401
        """Take in more."""


def blocks(path: Path, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """A file, or a part of it, a piece at a time."""
    left = (path.stat().st_size if end is None else end) - start
    with path.open("rb") as file:
        file.seek(start)
        while left > 0 and (block := file.read(min(_BLOCK, left))):
            left -= len(block)
            yield block


def sha256(path: Path, start: int = 0, end: int | None = None) -> str:
    """sha256 of a file, or of a part of it."""
    digest = hashlib.sha256()
    for block in blocks(path, start, end):
        digest.update(block)
    return digest.hexdigest()


def write(file: BinaryIO, part: Any, digest: Digest) -> None:  # noqa: ANN401
    """Append bytes, or an array as it lies in memory, to a file and to its hash."""
    plain = isinstance(part, bytes | bytearray)
    content = part if plain else np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
    digest.update(content)
    file.write(content)


def digest(path: Path) -> str:
    """sha256 of a file, or of the names and contents of a package's files in order."""
    found = hashlib.sha256()
    for file in files_of(path):
        if path.is_dir():
            found.update(file.relative_to(path).as_posix().encode() + b"\0")
        for block in blocks(file):
            found.update(block)
    return found.hexdigest()


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a package."""
    return sum(file.stat().st_size for file in files_of(path))


def files_of(path: Path) -> list[Path]:
    """The file, or the files of a package in order; none where there is nothing."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.exists() else []
