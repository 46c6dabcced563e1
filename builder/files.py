"""A picture's file as something that reads it, in any process that sees the same disk or store."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from .errors import first_line

LARGEST = 1 << 28  # bytes; no camera writes larger pictures


@runtime_checkable
class Shared(Protocol):
    """Reads a file that other processes see as well; what lies in an archive has no such reader."""

    def __call__(self) -> bytes:
        """The file's bytes.

        Raises:
            OSError: they cannot be read.
        """

    def stamp(self) -> str:
        """Where the file lies, and what changes when it does."""


@dataclass(frozen=True)
class LocalFile:
    """Reads a file, if it is one: a pipe would never end, a device never fit."""

    path: str  # absolute, as another process may work in another folder

    def __call__(self) -> bytes:
        """The file's bytes; raises OSError."""
        status = os.stat(self.path)  # noqa: PTH116  # a Path for each of a million files is large
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return within(status.st_size, Path(self.path).read_bytes)()

    def stamp(self) -> str:
        """Path, bytes and time of the last change; "" for the latter two of a file that is gone."""
        try:
            status = os.stat(self.path)  # noqa: PTH116
        except OSError:
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
        return within(self.size, self._content)()

    def stamp(self) -> str:
        """Address, bytes and version."""
        return f"{self.address} {self.size} {self.changed}"

    def _content(self) -> bytes:
        from fsspec.core import url_to_fs

        try:
            store, path = url_to_fs(self.address)
            content: bytes = store.cat_file(path)
        except FileNotFoundError as error:  # fsspec's carries the path in place of words
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
        except Exception as error:  # whatever the package of a store raises
            raise OSError(errno.EIO, first_line(error)) from error
        return within(len(content), lambda: content)()


def within(size: int, content: Callable[[], bytes]) -> Callable[[], bytes]:
    """Reads the bytes, unless there are more of them than any picture has."""

    def read() -> bytes:
        if size > LARGEST:
            raise OSError(errno.EFBIG, f"larger than {LARGEST >> 20} MiB")
        return content()

    return read


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
