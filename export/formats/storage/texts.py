"""What a file says about itself: texts by name, of which one is its manifest.

They are members of a zip archive, which a .keras file is and a .tflite file ends in, or properties
of a protobuf.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.system.untrusted_json import parse_json
from pocketknn.export.output.names import LABELS, MANIFEST, SEAL, SLOTS, TABLE

DATE = (1980, 1, 1, 0, 0, 0)  # a zip's first day
_OURS = (MANIFEST, TABLE, LABELS, SLOTS, SEAL)
_LARGEST_PACKED = 1 << 24  # bytes of a text that is packed in a zip
_PREFIX = "pocketknn."  # of names where other tools' properties are as well


def ours(texts: Mapping[str, str], source: str) -> dict[str, str]:
    """The texts of a file, refused where it is another tool's.

    Args:
        texts: the texts.
        source: what messages call the file.

    Raises:
        InputError: there is no manifest among them.
    """
    if MANIFEST not in texts or TABLE not in texts:
        raise InputError(f"{source} carries no pocketknn manifest: it is broken, or another tool's")
    return dict(texts)


def manifest_in(texts: Mapping[str, str]) -> dict[str, Any]:
    """The manifest among the texts of a file.

    Raises:
        InputError: it is broken.
    """
    try:
        return dict(parse_json(texts[MANIFEST]))
    except (ValueError, TypeError) as error:
        raise InputError(f"the manifest is broken: {first_line(error)}") from error


def as_properties(texts: Mapping[str, str]) -> dict[str, str]:
    """Texts as properties, by names that are ours alone."""
    return {_PREFIX + name: text for name, text in texts.items()}


def of_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """The texts among all properties of a file."""
    return {
        name.removeprefix(_PREFIX): text
        for name, text in properties.items()
        if name.startswith(_PREFIX)
    }


def licence(manifest: Mapping[str, Any]) -> str:
    """Under what terms a file may be used: the builder's words, and whose the backbone is."""
    backbone = manifest["backbone"] or {}
    # Builds before there were such backbones do not name any.
    return "; ".join(filter(None, (manifest["license"], backbone.get("attribution"))))


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


def read(path: Path) -> dict[str, str]:
    """The texts at the top of a zip archive, or of a file that ends in one.

    Raises:
        InputError: the archive is broken, or another tool's.
    """
    texts = {}
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name in _OURS:
                        texts[name] = _unpacked(archive, name)
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, RuntimeError) as error:
        reason = str(error) or "it ends early"
        raise InputError(f"{path.name} is a broken archive: {reason}") from error
    return ours(texts, path.name)


def _unpacked(archive: zipfile.ZipFile, name: str) -> str:
    info = archive.getinfo(name)
    # What we write is not packed, so that no few bytes become very many.
    if info.file_size > max(info.compress_size, _LARGEST_PACKED):
        raise ValueError(f"{name} would take {info.file_size:,} bytes")
    return archive.read(info).decode()
