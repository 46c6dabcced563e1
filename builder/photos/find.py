"""Where photos come from: a folder, a table, a zip or tar archive, an address."""

from __future__ import annotations

import bz2
import csv
import errno
import gzip
import io
import lzma
import math
import os
import posixpath
import shutil
import sys
import tarfile
import tempfile
import threading
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pocketknn.builder.errors import InputError

from .decode import Photo
from .names import Note, is_litter, of_zip, refuse_splits, relative
from .readers import LARGEST, LocalFile, check_file, check_rows, read_file, within
from .remote import photos_at, place_of

_LONGEST_LABEL = 255
_MOST_GROWTH = 20  # times; bitmaps of drawings may shrink that much in an archive
_SPARE_DISK = 64 << 20  # bytes that are left to others
_TABLES = (".csv", ".parquet")
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_UNPACKERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}


def find(
    place: Path | str,
    *,
    path_column: str = "path",
    label_column: str | None = None,
    target_columns: Sequence[str] = (),
    exclude: Sequence[str] = (),
    limit: int | None = None,
    note: Note = lambda line: None,
) -> list[Photo]:
    """All photos of a place, in the order of their class and name.

    Args:
        place: a folder with a folder per class (nested ones join with "/"), or a flat one; a CSV or
            Parquet table of paths, relative to the table, and labels; a zip or tar archive of
            folders; or, as text, the address of folders in a store that fsspec knows, such as
            s3://bucket/photos. Hidden files, and those that systems write for themselves, are left
            out. Whether a file is a picture is seen when
            it is decoded, whatever its name ends with.
        path_column: of a table.
        label_column: of a table; "label", where there is one, when None.
        target_columns: of a table: numbers for regression.
        exclude: patterns such as `*_small.jpg` or `drafts/*`, held against each name.
        limit: at most so many photos of each class, the first by name.
        note: told, a line each, of folders without photos and of names that may be garbled.

    Raises:
        InputError: the place does not exist, cannot be read, holds no photo, or is a split into
            folders such as train and test.
    """
    if isinstance(place, str):
        place = place_of(place)
    if isinstance(place, Path) and not place.exists():
        raise InputError(f"{place} does not exist")
    if isinstance(place, Path):
        check_file(place)
    if limit is not None and limit < 1:
        raise InputError(f"the limit must be at least 1, not {limit}")
    photos = [
        _usable(photo)
        for photo in _from(place, path_column, label_column, target_columns, note)
        if not any(fnmatch(photo.name, pattern) for pattern in exclude)
    ]
    if not photos:
        raise InputError(f"{place} holds no files; put the photos of each class in a folder below")
    check_classes({photo.label for photo in photos})
    if not Path(place).name.lower().endswith(_TABLES):
        refuse_splits(place, photos)
    photos.sort(key=lambda photo: (photo.label, photo.name))
    return photos if limit is None else list(_first(photos, limit))


def not_utf_8() -> str:
    """What is wrong with a name of bytes that cannot be read, as the end of a sentence."""
    encoding = sys.getfilesystemencoding()
    if encoding == "utf-8":
        return "is not UTF-8; rename it"
    return f"cannot be read in {encoding}, which this session has; set PYTHONUTF8=1"


def _usable(photo: Photo) -> Photo:
    """The photo, if its names can be written into the label and reference tables.

    Raises:
        InputError: they cannot.
    """
    if not photo.name.isprintable() and any("\udc80" <= c <= "\udcff" for c in photo.name):
        raise InputError(f"the name {photo.name!r} {not_utf_8()}")
    return photo


def check_classes(names: Iterable[str]) -> None:
    """Refuse names of classes that a file of them cannot hold.

    Also those that many file systems and all readers take for the same.

    Raises:
        InputError: there is one.
    """
    alike: dict[str, str] = {}
    for name in sorted(names):
        if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
            raise InputError(f"the class {name!r} has a control character; rename it")
        if len(name) > _LONGEST_LABEL:
            raise InputError(
                f"the class {name[:30]!r}… has a name of {len(name)} characters;"
                f" at most {_LONGEST_LABEL} are taken"
            )
        other = alike.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise InputError(
                f"the classes {other!r} and {name!r} differ only in case or Unicode form;"
                " give them one name, or two that differ"
            )


def _from(
    place: Path | str,
    path_column: str,
    label_column: str | None,
    target_columns: Sequence[str],
    note: Note,
) -> Iterable[Photo]:
    name = Path(place).name.lower()
    if isinstance(place, Path) and name.endswith(_TABLES) and not place.is_dir():
        return _table(place, path_column, label_column, target_columns)
    if target_columns:
        raise InputError(f"targets are columns of a .csv or .parquet table; {place} is none")
    if isinstance(place, str):
        return photos_at(place)
    if place.is_dir():
        return _folder(place, note)
    if name.endswith(".zip"):
        return _archive(place, partial(_zip_members, note=note))
    if name.endswith(_TARS):
        return _archive(place, _tar_members)
    raise InputError(
        f"{place} is a file; give a folder of photos, a .csv or .parquet table, a .zip or a .tar"
    )


def _first(photos: Iterable[Photo], limit: int) -> Iterator[Photo]:
    seen: dict[str, int] = {}
    for photo in photos:
        seen[photo.label] = seen.get(photo.label, 0) + 1
        if seen[photo.label] <= limit:
            yield photo


def _folder(folder: Path, note: Note) -> Iterator[Photo]:
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
            yield _in_folders((below / name).as_posix(), LocalFile(f"{absolute}/{name}"))
    for below in empty:
        if below.parent not in with_files:  # an empty folder beside a class's pictures is no class
            note(f"warning: the folder {below.as_posix()!r} is empty, so it is no class")


def _table(
    path: Path, path_column: str, label_column: str | None, target_columns: Sequence[str]
) -> Iterator[Photo]:
    columns = _columns(path)
    labels = label_column or ("label" if "label" in columns else None)
    for wanted in filter(None, (path_column, labels, *target_columns)):
        if wanted not in columns:
            there = ", ".join(repr(name) for name in columns)
            raise InputError(f"{path.name} has no column {wanted!r}; its columns are {there}")
    named = [label if label.strip() else "" for label in columns[labels]] if labels else []
    named = named or [""] * len(columns[path_column])
    numbers = [columns[name] for name in target_columns]
    folder, places = path.parent.absolute(), columns[path_column]
    names = relative(places, folder)
    for row, (place, label) in enumerate(zip(places, named, strict=True)):
        if place:
            yield Photo(
                name=names[row],
                label=label,
                content=LocalFile(str(folder / place)),
                targets=tuple(
                    _number(column[row], f"{name!r} of {place}")
                    for name, column in zip(target_columns, numbers, strict=True)
                ),
            )


def _number(cell: str, what: str) -> float:
    try:
        value = float(cell)
    except ValueError as error:
        raise InputError(f"{what} is {cell!r}, which is no number") from error
    if not math.isfinite(value):
        raise InputError(f"{what} is {cell!r}; a target must be finite")
    return value


def _columns(path: Path) -> dict[str, list[str]]:
    """A table's columns as texts; an empty cell is ""."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() == ".parquet":
            check_rows(path)
            table = pq.read_table(path)
            return {
                name: ["" if cell is None else str(cell) for cell in table[name].to_pylist()]
                for name in table.column_names
            }
        text = read_file(path).decode("utf-8-sig")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        names = list(rows.fieldnames or ())
        cells = [[row.get(name) or "" for name in names] for row in rows]
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name} cannot be read as a table: {error}") from error
    return {name: [row[i] for row in cells] for i, name in enumerate(names)}


Member = tuple[str, Callable[[], bytes]]


def _archive(path: Path, members: Callable[[Path], Iterator[Member]]) -> Iterator[Photo]:
    try:
        found = [
            (name, content)
            for name, content in members(path)
            if not any(map(is_litter, PurePosixPath(name).parts))
        ]
    except (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, OSError, EOFError) as error:
        raise InputError(f"{path.name} cannot be read as an archive: {error}") from error
    above = {PurePosixPath(name).parts[0] for name, _ in found}
    # An archive of one folder of classes: that folder's name says nothing.
    wrapped = len(above) == 1 and all(len(PurePosixPath(name).parts) > 2 for name, _ in found)
    for name, content in found:
        yield _in_folders(name.partition("/")[2] if wrapped else name, content)


def _zip_members(path: Path, note: Note) -> Iterator[Member]:
    archive = zipfile.ZipFile(path)  # stays open as long as its members are used
    infos = archive.infolist()
    names = of_zip([(info.filename, info.flag_bits) for info in infos], note)
    for name, info in zip(names, infos, strict=True):
        if not name.endswith("/"):
            yield name, within(info.file_size, partial(archive.read, info))


def _tar_members(path: Path) -> Iterator[Member]:
    """Members of a tar; a compressed one is first written out whole, to jump about in it."""
    with path.open("rb") as stream:
        unpacker = _UNPACKERS.get(stream.read(2))
    if unpacker is None:
        plain: IO[bytes] = path.open("rb")
    else:
        plain = tempfile.TemporaryFile()  # noqa: SIM115  # stays open as long as its members
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
    there = {posixpath.normpath(info.name): info for info in members if not info.isdir()}
    for info in there.values():
        found = _linked(info, there)
        read = partial(content, found) if found else _leads_nowhere
        yield info.name.removeprefix("./"), within(found.size if found else 0, read)


def _linked(info: tarfile.TarInfo, there: Mapping[str, tarfile.TarInfo]) -> tarfile.TarInfo | None:
    """The member that holds the bytes, as a second name of a file holds none; None without one."""
    seen: set[str] = set()
    while info.islnk() or info.issym():
        above = posixpath.dirname(info.name) if info.issym() else ""
        name = posixpath.normpath(posixpath.join(above, info.linkname))
        if name in seen or name not in there:
            return None
        seen.add(name)
        info = there[name]
    return info if info.isfile() else None


def _leads_nowhere() -> bytes:
    raise OSError(errno.ENOENT, "no file, and no link to one in the archive")


def _unpack(packed: IO[bytes], plain: IO[bytes], path: Path) -> None:
    """Write out what an archive holds, unless it grows as no pictures do.

    Raises:
        InputError: it does, or there is no room for it.
    """
    most = max(LARGEST, _MOST_GROWTH * path.stat().st_size)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    while block := packed.read(1 << 20):
        most -= len(block)
        free -= len(block)
        if most < 0:
            raise InputError(
                f"{path.name} unpacks to more than {_MOST_GROWTH} times its size, as pictures do"
                " not; unpack it, and give the folder"
            )
        if free < _SPARE_DISK:
            raise InputError(
                f"{path.name} does not fit into {tempfile.gettempdir()}, which TMPDIR may name"
                " elsewhere; unpack it, and give the folder"
            )
        plain.write(block)


def _in_folders(name: str, content: Callable[[], bytes]) -> Photo:
    return Photo(name=name, label=name.rpartition("/")[0], content=content)
