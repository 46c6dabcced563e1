"""A picture's file as something that reads it, in any process that sees the same disk or store."""

from __future__ import annotations

import errno
import math
import os
import stat
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketknn.builder.errors import InputError, first_line

LARGEST = 1 << 28  # bytes; no camera writes larger pictures


@dataclass(frozen=True)
class LocalFile:
    """Reads a file, if it is one: a pipe would never end, a device never fit."""

    path: str  # absolute, as another process may work in another folder

    def __call__(self) -> bytes:
        """The file's bytes; raises OSError."""
        return read_file(self.path, LARGEST)

    def stamp(self) -> str:
        """Path, bytes and time of the last change; "" for the latter two of a file that is gone."""
        try:
            status = os.stat(self.path)  # noqa: PTH116
        except (OSError, ValueError):
            return self.path
        return f"{self.path} {status.st_size} {status.st_mtime_ns}"


@dataclass(frozen=True)
class RemoteFile:
    """Reads a file from a store that fsspec knows."""

    address: str
    size: int
    changed: str  # what the store's listing says of its version

    def __call__(self) -> bytes:
        """The file's bytes; raises OSError."""
        _check_size(self.size)
        from fsspec.core import url_to_fs

        try:
            store, path = url_to_fs(self.address)
            content: bytes = store.cat_file(path)
        except FileNotFoundError as error:  # fsspec's carries the path in place of words
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
        except Exception as error:  # whatever the package of a store raises
            raise OSError(errno.EIO, first_line(error)) from error
        _check_size(len(content))
        return content

    def stamp(self) -> str:
        """Address, bytes and version."""
        return f"{self.address} {self.size} {self.changed}"


def is_within(path: Path, folder: Path) -> bool:
    """Whether a path, which need not exist, is a folder or lies in it.

    By the files themselves: on many disks `Photos` and `photos` are one folder, on others two.
    """
    here = path.resolve()
    return any(one.exists() and one.samefile(folder) for one in (here, *here.parents))


def read_file(path: Path | str, most: float = math.inf) -> bytes:
    """The bytes of a regular file, as many as it says that it has.

    Reading a pipe would never end, and a device never fit. What a system makes up, as below /proc,
    says that it has none, and may wait for ever.

    Args:
        path: the file.
        most: bytes that are too many.

    Raises:
        OSError: it cannot be read, is no regular file or too large.
    """
    try:
        status = os.stat(path)  # noqa: PTH116  # a Path for each of a million files is large
    except ValueError as error:
        raise OSError(errno.EINVAL, "its name has a character that no name has") from error
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    _check_size(status.st_size, most)
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(status.st_size)


def check_file(path: Path) -> None:
    """Refuse what is there but no regular file, before a library reads it; see `read_file`.

    Raises:
        InputError: it is a pipe, a device or empty.
    """
    if not path.exists() or path.is_dir():
        return
    if not path.is_file():
        raise InputError(f"{path} is not a regular file")
    if not path.stat().st_size:
        raise InputError(f"{path} is empty")


def within(size: int, content: Callable[[], bytes]) -> Callable[[], bytes]:
    """Reads the bytes, unless there are more of them than any picture has."""

    def read() -> bytes:
        _check_size(size)
        return content()

    return read


def _check_size(size: int, most: float | None = None) -> None:
    limit = LARGEST if most is None else most
    if size > limit:
        raise OSError(errno.EFBIG, f"larger than {int(limit) >> 20:,} MiB")


def version(entry: dict[str, Any]) -> str:
    """What a store's listing says that changes with the file: each names it in its own way.

    Where it says nothing, as that of https does, the version is another one each time, so that
    nothing of the file is taken for known.
    """
    names = ("ETag", "etag", "md5Hash", "sha", "mtime", "modify", "LastModified", "last_modified")
    for name in (*names, "created"):
        if entry.get(name):
            return str(entry[name])
    return f"unknown {uuid.uuid4().hex}"
