"""Photos that an address leads to, such as s3://bucket/photos: any store that fsspec knows."""

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
    """What was typed as a place: a path, or an address, which stays text."""
    if text.startswith(_ON_DISK):
        return Path(text.removeprefix(_ON_DISK))
    return text if _MARK in text else Path(text)


def was_address(path: Path) -> str:
    """The address of which a path was made, whose "//" has become one "/"; "" for other paths."""
    protocol, mark, rest = path.as_posix().partition(":/")
    # One letter is a disk of Windows.
    return f"{protocol}{_MARK}{rest}" if mark and len(protocol) > 1 and "/" not in protocol else ""


def photos_at(address: str) -> Iterator[Photo]:
    """All files below an address, with the folders above each as its class.

    Args:
        address: a protocol of fsspec's and what it leads to. Hidden files, and those that
            systems write for themselves, are left out.

    Raises:
        InputError: fsspec or the protocol's package is not installed, nobody knows the protocol,
            the store does not answer, or the address is no folder.
    """
    store, root = _open(address)
    try:
        entries: dict[str, dict[str, Any]] = store.find(root, detail=True)
    except Exception as error:  # whatever the package of a store raises
        raise InputError(f"{address} cannot be listed: {first_line(error)}") from error
    if not entries:
        raise InputError(f"{address} does not exist or holds no files")
    above = root.rstrip("/") + "/"
    for path, entry in entries.items():
        if not path.startswith(above):
            raise InputError(f"{address} is a file; an address must lead to a folder of photos")
        name = path.removeprefix(above)
        if not any(map(is_litter, name.split("/"))):
            # What the address says of a host or an account is not in the store's own paths.
            at = f"{address.rstrip('/')}/{name}"
            file = RemoteFile(at, entry["size"] or 0, version(entry))
            yield Photo.in_folders(name, file)


def _open(address: str) -> tuple[Any, str]:
    """The store, and the path within it."""
    if "::" in address:
        raise InputError(f"{address} leads through several stores; name the folder itself")
    try:
        from fsspec.core import url_to_fs
        from fsspec.registry import known_implementations
    except ImportError as error:
        raise InputError(f"{address} needs the package fsspec: pip install fsspec") from error
    protocol = address.partition(_MARK)[0]
    try:
        store, root = url_to_fs(address)
    except ImportError as error:
        # fsspec says which package it is: "Install s3fs to access S3".
        raise InputError(f"{address} needs another package: {first_line(error)}") from error
    except Exception as error:  # whatever the package of a store raises
        if isinstance(error, ValueError) and protocol not in known_implementations:
            raise InputError(
                f"unknown protocol {protocol!r} in {address};"
                " fsspec knows s3, gs, abfs, https and more"
            ) from error
        raise InputError(f"{address} cannot be opened: {first_line(error)}") from error
    return store, root
