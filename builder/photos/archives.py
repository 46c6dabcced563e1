"""Photos in a zip or tar archive."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import posixpath
import shutil
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pocketknn.builder.errors import InputError
from pocketknn.builder.wording import counted

from .photo import Note, Photo, is_litter
from .readers import LARGEST, within

_ZIP = ".zip"
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_MOST_GROWTH = 20  # times; bitmaps of drawings may compress that much
_UTF8 = 0x800  # a zip's flag for names in UTF-8; others are CP437 by definition
_SPARE_DISK = 64 << 20  # bytes to leave free
_UNPACKERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}
Member = tuple[str, Callable[[], bytes]]


def is_archive(name: str) -> bool:
    """Whether a file of this name is an archive."""
    return name.lower().endswith((_ZIP, *_TARS))


def photos_in(path: Path, note: Note) -> Iterator[Photo]:
    """The photos in an archive of class folders, which stays open while they are used.

    Args:
        path: a file that `is_archive`.
        note: called with a warning about names that may be garbled, and with a message about a top
            folder that is dropped from the names.

    Raises:
        InputError: it cannot be read, or a compressed tar expands far more than an archive of
            pictures does.
    """
    is_zip = path.name.lower().endswith(_ZIP)
    try:
        found = [
            (name, content)
            for name, content in (_zip_members(path, note) if is_zip else _tar_members(path))
            if not any(map(is_litter, PurePosixPath(name).parts))
        ]
    except (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, OSError, EOFError) as error:
        raise InputError(
            f"{path.name} cannot be read as an archive: {error}", "unreadable-archive"
        ) from error
    above = {PurePosixPath(name).parts[0] for name, _ in found}
    # A single top folder that holds the class folders is not a class.
    wrapped = len(above) == 1 and all(len(PurePosixPath(name).parts) > 2 for name, _ in found)
    if wrapped:
        note(
            f"all of {path.name} is in the folder {above.pop()!r}, which is not a class itself;"
            " each folder in it is a class"
        )
    for name, content in found:
        yield Photo.in_folders(name.partition("/")[2] if wrapped else name, content)


def _zip_members(path: Path, note: Note) -> Iterator[Member]:
    archive = zipfile.ZipFile(path)  # stays open while its members are used
    infos = archive.infolist()
    names = _of_zip([(info.filename, info.flag_bits) for info in infos], note)
    for name, info in zip(names, infos, strict=True):
        if not name.endswith("/"):
            yield name, within(info.file_size, partial(archive.read, info))


def _of_zip(named: Sequence[tuple[str, int]], note: Note) -> list[str]:
    """The original names in a zip, with forward slashes.

    Args:
        named: each name as decoded by zipfile, and its flags.
        note: called with a warning about names in an unknown encoding.
    """
    names, guessed = [], []
    for name, flags in named:
        read = name if flags & _UTF8 or name.isascii() else _as_utf8(name)
        names.append(read or name)
        if read is None:
            guessed.append(name)
    if guessed:
        one, many = (f"in the zip {verb} an unknown encoding" for verb in ("has", "have"))
        note(
            f"warning: {counted(len(guessed), f'name {one}', f'names {many}')} and may be garbled,"
            f" such as {guessed[0]!r}; unpack it with the right encoding, and give the folder"
        )
    if not any("/" in name for name in names):  # from Windows, against the zip specification
        names = [name.replace("\\", "/") for name in names]
    return names


def _as_utf8(name: str) -> str | None:
    """Decode a name as UTF-8 if zipfile took it for CP437: many tools do not set the flag."""
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return None


def _tar_members(path: Path) -> Iterator[Member]:
    """Members of a tar; a compressed one is first unpacked to a file, for random access."""
    with path.open("rb") as stream:
        unpacker = _UNPACKERS.get(stream.read(2))
    if unpacker is None:
        plain: IO[bytes] = path.open("rb")
    else:
        plain = tempfile.TemporaryFile()  # noqa: SIM115  # stays open while its members are used
        with unpacker(path) as packed:
            _unpack(packed, plain, path)
        plain.seek(0)
    lock = threading.Lock()

    def content(info: tarfile.TarInfo) -> bytes:
        with lock:
            plain.seek(info.offset_data)
            return plain.read(info.size)

    with tarfile.open(fileobj=plain) as archive:
        members = list(archive)
    files = {posixpath.normpath(info.name): info for info in members if not info.isdir()}
    for info in files.values():
        found = _linked(info, files)
        read = partial(content, found) if found else _leads_nowhere
        yield info.name.removeprefix("./"), within(found.size if found else 0, read)


def _linked(info: tarfile.TarInfo, files: Mapping[str, tarfile.TarInfo]) -> tarfile.TarInfo | None:
    """Follow links to the member that holds the bytes; None if there is none."""
    seen: set[str] = set()
    while info.islnk() or info.issym():
        above = posixpath.dirname(info.name) if info.issym() else ""
        name = posixpath.normpath(posixpath.join(above, info.linkname))
        if name in seen or name not in files:
            return None
        seen.add(name)
        info = files[name]
    return info if info.isfile() else None


def _leads_nowhere() -> bytes:
    raise OSError(errno.ENOENT, "neither a file nor a link to one in the archive")


def _unpack(packed: IO[bytes], plain: IO[bytes], path: Path) -> None:
    """Unpack an archive, unless it expands far more than an archive of pictures does.

    Raises:
        InputError: it expands too much, or the disk is too full.
    """
    most = max(LARGEST, _MOST_GROWTH * path.stat().st_size)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    while block := packed.read(1 << 20):
        most -= len(block)
        free -= len(block)
        if most < 0:
            raise InputError(
                f"{path.name} unpacks to more than {_MOST_GROWTH} times its size, unlike any"
                " archive of pictures; if you trust it, unpack it, and give the folder",
                "archive-bomb",
            )
        if free < _SPARE_DISK:
            raise InputError(
                f"{path.name} does not fit into {tempfile.gettempdir()}; set TMPDIR to another"
                " folder, or unpack it, and give the folder",
                "disk-full",
            )
        plain.write(block)
