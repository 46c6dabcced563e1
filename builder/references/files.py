"""References saved in a file: our own Parquet, or an ml5 data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

from pocketknn.builder.errors import InputError

from . import ml5_json
from .parquet import PROVENANCE
from .references import References


def is_collection(path: Path | str) -> TypeGuard[Path]:
    """Whether a file holds references, by its name and, for Parquet, its columns.

    Args:
        path: the file; a string is a URL of photos, never of references.
    """
    if isinstance(path, str) or not path.is_file():
        return False
    if path.suffix.lower() == ".json":
        return True
    return path.suffix.lower() == ".parquet" and "embedding" in _schema(path)[0]


def is_ours(path: Path) -> bool:
    """Whether a file is a table of references that `References.save` wrote."""
    return PROVENANCE in _schema(path)[1]


def read_collection(
    path: Path, classes: Sequence[str] | None = None, *, vectors: bool = True
) -> References:
    """Read references from `.parquet` or `.json`.

    Args:
        path: the file.
        classes: the order of the classes; the file's own when None.
        vectors: read the vectors of a `.parquet`; otherwise they are zeros.

    Raises:
        InputError: the file does not exist, holds no references, or does not fit into memory.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file", "file-not-found")
    if path.suffix.lower() == ".json":
        found = ml5_json.read(path)
    else:
        found = References.load(path, vectors=vectors)
    return found.in_order(classes) if classes else found


def _schema(path: Path) -> tuple[list[str], Mapping[bytes, bytes]]:
    """The columns and metadata of a Parquet file; empty if it is not one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return [], {}
    return list(schema.names), schema.metadata or {}
