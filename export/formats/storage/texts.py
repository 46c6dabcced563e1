"""The texts of a file, by name, its manifest among them.

They are members of a zip archive (a .keras file is one, a .tflite file ends in one), or properties
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
_LARGEST_PACKED = 1 << 24  # maximum bytes of a text that is compressed in a zip
_PREFIX = "pocketknn."  # for names that are stored beside other tools' properties


def ours(texts: Mapping[str, str], source: str) -> dict[str, str]:
    """The texts of a file; refuses files of other tools.

    Args:
        texts: the texts.
        source: the file's name in messages.

    Raises:
        InputError: the texts include no manifest.
    """
    if MANIFEST not in texts or TABLE not in texts:
        raise InputError(
            f"{source} has no pocketknn manifest: it is damaged, or another tool wrote it",
            "no-manifest",
        )
    return dict(texts)


def manifest_in(texts: Mapping[str, str]) -> dict[str, Any]:
    """The manifest among the texts of a file.

    Raises:
        InputError: it is broken.
    """
    try:
        return dict(parse_json(texts[MANIFEST]))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"the manifest is broken: {first_line(error)}", "manifest-broken"
        ) from error


def as_properties(texts: Mapping[str, str]) -> dict[str, str]:
    """Texts as properties, with our prefix."""
    return {_PREFIX + name: text for name, text in texts.items()}


def of_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """The texts among all properties of a file."""
    return {
        name.removeprefix(_PREFIX): text
        for name, text in properties.items()
        if name.startswith(_PREFIX)
    }


def licence(manifest: Mapping[str, Any]) -> str:
    """A file's terms of use: the user's text, and the backbone's attribution."""
    backbone = manifest["backbone"] or {}
    # Builds of older versions have no attribution.
    return "; ".join(filter(None, (manifest["license"], backbone.get("attribution"))))


def append_files(path: Path, files: Mapping[str, str]) -> None:
    """Add texts to a zip archive, or append an archive to another file."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(member(name), text)


def member(name: str) -> zipfile.ZipInfo:
    """A member of an archive, with a fixed date."""
    return zipfile.ZipInfo(name, DATE)


def payload(path: Path) -> int:
    """The number of bytes in a file before the archive that was appended to it."""
    with zipfile.ZipFile(path) as archive:
        return min(info.header_offset for info in archive.infolist())


def read(path: Path) -> dict[str, str]:
    """The texts at the top level of a zip archive, or of a file that ends in one.

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
        raise InputError(f"{path.name} is a broken archive: {reason}", "file-damaged") from error
    return ours(texts, path.name)


def _unpacked(archive: zipfile.ZipFile, name: str) -> str:
    info = archive.getinfo(name)
    # We store texts uncompressed; this refuses zip bombs.
    if info.file_size > max(info.compress_size, _LARGEST_PACKED):
        raise ValueError(f"{name} would take {info.file_size:,} bytes")
    return archive.read(info).decode()
