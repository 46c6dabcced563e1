"""The texts of a file, by name, its manifest among them.

They are members of a zip archive (a .keras file is one, a .tflite file ends in one), or properties
of a protobuf. A long table of references is packed: of a million rows of ids it would be a sixth of
the file. It stays a text, as properties are texts, and as MediaPipe refuses compressed members.
"""

from __future__ import annotations

import base64
import gzip
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.system.untrusted_json import parse_json
from pocketknn.export.output.names import LABELS, MANIFEST, PACKED, SEAL, SLOTS, TABLE

DATE = (1980, 1, 1, 0, 0, 0)  # a zip's first day
_OURS = (MANIFEST, TABLE, PACKED, LABELS, SLOTS, SEAL)
_LARGEST_PACKED = 1 << 24  # maximum bytes of a text that is compressed in a zip
PREFIX = "pocketknn."  # for names that are stored beside other tools' properties
_LONG = 1 << 20  # characters of a table that is packed
_MOST_TIMES = 100  # how often a packed table may be as long; this refuses bombs


def ours(texts: Mapping[str, str], source: str) -> dict[str, str]:
    """The texts of a file; refuses files of other tools.

    Args:
        texts: the texts.
        source: the file's name in messages.

    Raises:
        InputError: the texts include no manifest, or a packed table is broken.
    """
    texts = _with_table(texts, source)
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
    return {PREFIX + name: text for name, text in packed(texts).items()}


def of_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """The texts among all properties of a file."""
    return {
        name.removeprefix(PREFIX): text
        for name, text in properties.items()
        if name.startswith(PREFIX)
    }


def packed(texts: Mapping[str, str]) -> dict[str, str]:
    """The texts as they are stored: a long table of references packed."""
    found = dict(texts)
    table = found.get(TABLE, "")
    if len(table) < _LONG:
        return found
    content = table.encode()
    small = gzip.compress(content, mtime=0)
    if len(content) <= _MOST_TIMES * len(small):
        del found[TABLE]
        found[PACKED] = base64.b64encode(small).decode("ascii")
    return found


def _with_table(texts: Mapping[str, str], source: str) -> dict[str, str]:
    """The texts with an unpacked table."""
    found = dict(texts)
    if (stored := found.pop(PACKED, None)) is None:
        return found
    try:
        if TABLE in found:
            raise ValueError("there is another")
        small = base64.b64decode(stored, validate=True)
        unpack = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # gzip
        content = unpack.decompress(small, _MOST_TIMES * len(small) + 1)
        if not unpack.eof:
            raise ValueError("it is incomplete, or too large")
        found[TABLE] = content.decode()
    except (ValueError, zlib.error) as error:
        raise InputError(
            f"{source} is damaged: its table of references cannot be unpacked: {first_line(error)}",
            "file-damaged",
        ) from error
    return found


def licence(manifest: Mapping[str, Any]) -> str:
    """A file's terms of use: the user's text, and the backbone's attribution."""
    backbone = manifest["backbone"] or {}
    # Builds of older versions have no attribution.
    return "; ".join(filter(None, (manifest["license"], backbone.get("attribution"))))


def append_files(path: Path, files: Mapping[str, str]) -> None:
    """Add texts to a zip archive, or append an archive to another file."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        for name, text in packed(files).items():
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
