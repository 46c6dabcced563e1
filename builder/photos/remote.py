"""Photos at an address, such as s3://bucket/photos, in any store supported by fsspec."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pocketknn.builder.errors import InputError, first_line

from .photo import Photo, is_litter
from .readers import RemoteFile, version

_MARK = "://"
_ON_DISK = "file://"


def place_of(text: str) -> Path | str:
    """A place as typed by the user: a path, or an address, which stays a string."""
    if text.startswith(_ON_DISK):
        return Path(text.removeprefix(_ON_DISK))
    return text if _MARK in text else Path(text)


def was_address(path: Path) -> str:
    """The address that a path was made from, with its "//" restored; "" for other paths."""
    protocol, mark, rest = path.as_posix().partition(":/")
    # A single letter is a Windows drive.
    return f"{protocol}{_MARK}{rest}" if mark and len(protocol) > 1 and "/" not in protocol else ""


def photos_at(address: str) -> Iterator[Photo]:
    """All files below an address, with the folders above each as its class.

    Args:
        address: a URL for fsspec. Hidden files and operating system files are ignored.

    Raises:
        InputError: fsspec or the protocol's package is not installed, the protocol is unknown, the
            store does not answer, or the address is not a folder.
    """
    store, root = _open(address)
    try:
        entries: dict[str, dict[str, Any]] = store.find(root, detail=True)
    except Exception as error:  # stores raise errors of any type
        raise InputError(
            f"{address} cannot be listed: {first_line(error)}", "unreadable-address"
        ) from error
    if not entries:
        raise InputError(f"{address} does not exist or holds no files", "no-photos")
    above = root.rstrip("/") + "/"
    for path, entry in entries.items():
        if not path.startswith(above):
            raise InputError(
                f"{address} is a file; give the address of a folder of photos", "not-a-folder"
            )
        name = path.removeprefix(above)
        if not any(map(is_litter, name.split("/"))):
            # The store's own paths lack the host or account in the address.
            at = f"{address.rstrip('/')}/{name}"
            file = RemoteFile(at, entry["size"] or 0, version(entry))
            yield Photo.in_folders(name, file)


def _open(address: str) -> tuple[Any, str]:
    """The store, and the path within it."""
    if "::" in address:
        raise InputError(
            f"{address} chains several stores; give the folder's own address", "chained-address"
        )
    try:
        from fsspec.core import url_to_fs
        from fsspec.registry import known_implementations
    except ImportError as error:
        raise InputError(
            f"{address} needs the package fsspec: pip install fsspec", "package-not-installed"
        ) from error
    protocol = address.partition(_MARK)[0]
    try:
        store, root = url_to_fs(address)
    except ImportError as error:
        # fsspec's message names the package: "Install s3fs to access S3".
        raise InputError(
            f"{address} needs another package: {first_line(error)}", "package-not-installed"
        ) from error
    except Exception as error:  # stores raise errors of any type
        if isinstance(error, ValueError) and protocol not in known_implementations:
            raise InputError(
                f"unknown protocol {protocol!r} in {address};"
                " fsspec supports s3, gs, abfs, https and more",
                "unknown-protocol",
            ) from error
        raise InputError(
            f"{address} cannot be opened: {first_line(error)}", "unreadable-address"
        ) from error
    return store, root
