"""References that were kept in a file: our own Parquet, or a data set of ml5's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeGuard

from . import tfjs
from .errors import InputError
from .references import References


def is_collection(path: Path | str) -> TypeGuard[Path]:
    """Whether a file holds references, by its name and, for Parquet, its columns.

    Args:
        path: the file; an address, which is text, leads to photos.
    """
    if isinstance(path, str) or not path.is_file():
        return False
    if path.suffix.lower() == ".json":
        return True
    return path.suffix.lower() == ".parquet" and "embedding" in _columns(path)


def read_collection(path: Path, classes: Sequence[str] | None = None) -> References:
    """Read references from `.parquet` or `.json`.

    Args:
        path: the file.
        classes: the order of the classes; the file's own when None.

    Raises:
        InputError: the file does not exist or holds none.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist or is no file")
    read = tfjs.read if path.suffix.lower() == ".json" else References.load
    found = read(path)
    return found.in_order(classes) if classes else found


def _columns(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return []
