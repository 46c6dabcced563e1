"""Readers of a picture's file, for any process with access to the same disk or store."""

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
    """Reads a regular file only; a pipe might never end, and a device might not fit into memory."""

    path: str  # absolute, as another process may work in another folder

    def __call__(self) -> bytes:
        """The file's bytes; raises OSError."""
        return read_file(self.path, LARGEST)

    def stamp(self) -> str:
        """Path, size and time of the last change; only the path if the file is gone."""
        try:
            status = os.stat(self.path)  # noqa: PTH116
        except (OSError, ValueError):
            return self.path
        return f"{self.path} {status.st_size} {status.st_mtime_ns}"


@dataclass(frozen=True)
class RemoteFile:
    """Reads a file from a store supported by fsspec."""

    address: str
    size: int
    changed: str  # its version in the store's listing

    def __call__(self) -> bytes:
        """The file's bytes; raises OSError."""
        _check_size(self.size)
        from fsspec.core import url_to_fs

        try:
            store, path = url_to_fs(self.address)
            content: bytes = store.cat_file(path)
        except FileNotFoundError as error:  # fsspec's message is only the path
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
        except Exception as error:  # stores raise errors of any type
            raise OSError(errno.EIO, first_line(error)) from error
        _check_size(len(content))
        return content

    def stamp(self) -> str:
        """Address, size and version."""
        return f"{self.address} {self.size} {self.changed}"


def is_within(path: Path, folder: Path) -> bool:
    """Whether a path, which need not exist, is a folder or is inside it.

    This compares files, not names: on some disks `Photos` and `photos` are the same folder.
    """
    here = path.resolve()
    return any(one.exists() and one.samefile(folder) for one in (here, *here.parents))


def read_file(path: Path | str, most: float = math.inf) -> bytes:
    """The bytes of a regular file, up to its reported size.

    A pipe might never end, and a device might not fit into memory. Virtual files, such as those in
    /proc, report a size of 0 and might block forever.

    Args:
        path: the file.
        most: maximum size in bytes.

    Raises:
        OSError: it cannot be read, is not a regular file, or is too large.
    """
    try:
        status = os.stat(path)  # noqa: PTH116  # a Path for each of a million files is large
    except ValueError as error:
        raise OSError(errno.EINVAL, "its name has an invalid character") from error
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    _check_size(status.st_size, most)
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(status.st_size)


def check_file(path: Path) -> None:
    """Check that a path, if it exists, is a regular file or a folder; see `read_file`.

    Raises:
        InputError: it is empty, a pipe or a device.
    """
    if not path.exists() or path.is_dir():
        return
    if not path.is_file():
        raise InputError(f"{path} is not a regular file", "not-a-file")
    if not path.stat().st_size:
        raise InputError(f"{path} is empty", "empty-file")


def within(size: int, content: Callable[[], bytes]) -> Callable[[], bytes]:
    """A reader that refuses more bytes than any picture has."""

    def read() -> bytes:
        _check_size(size)
        return content()

    return read


def _check_size(size: int, most: float | None = None) -> None:
    limit = LARGEST if most is None else most
    if size > limit:
        raise OSError(errno.EFBIG, f"larger than {int(limit) >> 20:,} MiB")


def version(entry: dict[str, Any]) -> str:
    """The version of a file from a store's listing; each store has its own key for it.

    If there is none, as with https, each call gives a new version, so that nothing cached for the
    file is reused.
    """
    names = ("ETag", "etag", "md5Hash", "sha", "mtime", "modify", "LastModified", "last_modified")
    for name in (*names, "created"):
        if entry.get(name):
            return str(entry[name])
    return f"unknown {uuid.uuid4().hex}"
