"""Checksums of files that may be larger than memory, and the seal inside artefacts.

The seal reveals damage since a file was written. It has two lines: the sha256 of the texts in the
file, and the sha256 of the part that a native runtime reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pocketknn.builder.errors import InputError

from .names import LABELS, MANIFEST, SEAL, SLOTS, TABLE

_BLOCK = 1 << 20


def blocks(path: Path, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Yield a file, or a part of it, in blocks."""
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


def write(file: BinaryIO, part: Any, digest: hashlib._Hash) -> None:  # noqa: ANN401
    """Append bytes, or the memory of an array, to a file and to its hash."""
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
    """The file, or the files of a package in order; empty if the path does not exist."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.exists() else []


def sealed(texts: Mapping[str, str], runtime: str = "") -> dict[str, str]:
    """The texts of an artefact by name, with their seal.

    Args:
        texts: the texts.
        runtime: sha256 of the part of the file that a native runtime will read, if any.
    """
    return {**texts, SEAL: f"{hash_of(texts)}\n{runtime}\n"}


def check_texts(texts: Mapping[str, str], source: str) -> None:
    """Check texts against their seal.

    Args:
        texts: the texts by name, including their seal.
        source: the file's name in the message.

    Raises:
        InputError: they were modified.
    """
    if texts.get(SEAL, "").partition("\n")[0] != hash_of(texts):
        raise InputError(
            f"{source} is damaged: checksum mismatch, the manifest was modified",
            "checksum-mismatch",
        )


def check_runtime(texts: Mapping[str, str], found: str, source: str) -> None:
    """Check a file before it reaches a native runtime, which may crash on damage.

    Args:
        texts: the texts by name, including their seal.
        found: sha256 of what the runtime would read.
        source: the file's name in the message.

    Raises:
        InputError: the content was modified.
    """
    if found != texts.get(SEAL, "").partition("\n")[2].strip():
        raise InputError(
            f"{source} is damaged: checksum mismatch, the model in it was modified",
            "checksum-mismatch",
        )


def hash_of(texts: Mapping[str, str]) -> str:
    """sha256 of the sealed texts."""
    parts = [texts.get(name, "") for name in (MANIFEST, TABLE, LABELS, SLOTS)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
