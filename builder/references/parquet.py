"""References as a Parquet file with a checksum."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.provenance import Provenance
from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.photos.limits import check_table
from pocketknn.builder.system.free_memory import check_free

from .columns import Columns

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Keys of the schema's metadata.
PROVENANCE = b"pocketknn.provenance"
_CLASSES, _TARGETS = b"pocketknn.classes", b"pocketknn.targets"
_CHECK = b"pocketknn.crc32"
_TEXTS = ("id", "path", "label", "sha256")
_OCCASION = "occasion"  # a column written only if some photos have an occasion
_VECTORS = "embedding"
_AT_ONCE = 1 << 20  # values read from the file at a time
_WRITTEN = 1 << 24  # values in a group of rows
_BUFFER = 1 << 20  # bytes
_BYTES_OF_A_VALUE = 5  # float32, and whether it is finite

R = TypeVar("R", bound="Columns")


def write(path: Path | str, references: Columns) -> None:
    """Write references; row i is the graph's column i."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.array(references.vectors.reshape(-1))
    labels = [references.label_of(row) or None for row in range(len(references))]
    columns = {
        "id": pa.array(references.ids, pa.string()),
        "path": pa.array(references.paths, pa.string()),
        "label": pa.array(labels, pa.string()),
        "sha256": pa.array(references.sha256, pa.string()),
        "embedding": pa.FixedSizeListArray.from_arrays(flat, references.dim),
    }
    for name, numbers in zip(references.target_names, references.targets.T, strict=True):
        columns[f"target: {name}"] = pa.array(numbers)
    if any(references.occasions):
        columns[_OCCASION] = pa.array(references.occasions, pa.string())
    notes: dict[bytes, Any] = {
        PROVENANCE: _origin(references),
        _CLASSES: references.labels,
        _TARGETS: references.target_names,
        _CHECK: _checksum(references, [references.vectors]),
    }
    table = pa.table(columns).replace_schema_metadata(
        {key: json.dumps(value) for key, value in notes.items()}
    )
    # Absolute, as pyarrow takes "s3:r.parquet" for a URL.
    # pyarrow holds a group of rows in memory, encoded, until all of it is written.
    pq.write_table(table, Path(path).absolute(), row_group_size=max(_WRITTEN // references.dim, 1))


def read(path: Path | str, made_of: Callable[..., R], *, vectors: bool = True) -> R:
    """Read a file written by `write` in this version, or in an earlier one without checksums.

    Args:
        path: the file.
        made_of: `References.of`.
        vectors: read the vectors; otherwise they are zeros, which take no memory.

    Raises:
        InputError: the file is not a table of references, is damaged or does not fit into memory.
    """
    import pyarrow as pa

    try:
        return _read(path, made_of, vectors)
    except InputError as error:
        raise InputError(f"{path}: {error}", error.code) from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: its metadata is not JSON: {first_line(error)}", "not-json"
        ) from error
    except (
        pa.ArrowException,
        KeyError,
        AttributeError,
        ValueError,
        TypeError,
        RecursionError,
        OSError,
    ) as error:
        reason = first_line(error).strip("'")  # KeyError quotes its whole message
        raise InputError(
            f"{path} is not a table of references: {reason}", "not-a-reference-table"
        ) from error


def _read(path: Path | str, made_of: Callable[..., R], held: bool) -> R:
    import pyarrow as pa
    import pyarrow.parquet as pq

    options = {"buffer_size": _BUFFER, "pre_buffer": False}  # else pyarrow reads all of it first
    with pq.ParquetFile(Path(path).absolute(), **options) as file:
        schema, n = file.schema_arrow, file.metadata.num_rows
        numbers = [f"target: {name}" for name in _targets(_notes(schema))]
        wanted = {*_TEXTS, _OCCASION, *numbers} & {*schema.names}
        check_table(Path(path), sorted(wanted))
        kind = schema.field(_VECTORS).type if _VECTORS in schema.names else None
        is_list = kind and (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))
        if kind and not (is_list and pa.types.is_primitive(kind.value_type)):
            raise InputError(
                f"its column {_VECTORS} holds {kind}, not lists of numbers", "not-a-reference-table"
            )
        if not n:
            raise InputError("it holds no references", "no-references")
        width = _width(file)
        if held:
            size = n * width * _BYTES_OF_A_VALUE
            check_free(f"{n:,} references of {width} values", size)
        rows = _vectors(file, n, width) if held else np.zeros((n, 1), np.float32)
        table = file.read(sorted(wanted))
        found = _made(table, rows, made_of)
        if not held:
            found = replace(found, vectors=np.broadcast_to(np.float32(0), (n, width)))
        notes, parts = _notes(schema), [rows] if held else _blocks(file, width)
        if _CHECK in notes and notes[_CHECK] != _checksum(found, parts):
            raise InputError(
                "checksum mismatch: it is damaged, or was changed by a program that kept the old"
                " checksum",
                "checksum-mismatch",
            )
    return found


def _made(table: pa.Table, rows: NDArray[np.float32], made_of: Callable[..., R]) -> R:
    """References from these vectors and the table's other columns."""
    import pyarrow as pa

    there = [*_TEXTS, *({_OCCASION} & {*table.column_names})]
    texts = {name: table[name].cast(pa.string()).fill_null("").to_pylist() for name in there}
    notes = _notes(table.schema)
    names = _targets(notes)
    targets = [table[f"target: {name}"].to_numpy() for name in names]
    classes = _names(notes.get(_CLASSES), "classes")
    labelled = any(texts["label"])
    origin = notes.get(PROVENANCE)
    return made_of(
        rows,
        texts["label"] if labelled else None,
        classes=classes if labelled else None,
        ids=texts["id"],
        paths=texts["path"],
        sha256=texts["sha256"],
        targets=np.stack(targets, axis=1) if targets else None,
        target_names=names or None,
        provenance=None if origin is None else Provenance.of_json(origin),
        occasions=texts.get(_OCCASION),
    )


def _notes(schema: pa.Schema) -> dict[bytes, Any]:
    return {
        key: json.loads(value)
        for key, value in (schema.metadata or {}).items()
        if key in (PROVENANCE, _CLASSES, _TARGETS, _CHECK)
    }


def _targets(notes: dict[bytes, Any]) -> list[str]:
    return _names(notes.get(_TARGETS), "targets") or []


def _width(file: pq.ParquetFile) -> int:
    """Values per vector, from the file's metadata."""
    groups = [file.metadata.row_group(one) for one in range(file.metadata.num_row_groups)]
    values = [
        int(column.num_values)
        for group in groups
        for column in map(group.column, range(group.num_columns))
        if column.path_in_schema.partition(".")[0] == _VECTORS
    ]
    if not values:
        raise InputError(f'it has no column "{_VECTORS}"', "not-a-reference-table")
    return max(sum(values) // int(file.metadata.num_rows), 1)


def _vectors(file: pq.ParquetFile, n: int, width: int) -> NDArray[np.float32]:
    """The vectors (n, d), read-only, so that `References.of` need not copy them."""
    rows = np.empty((n, width), np.float32)
    at = 0
    for block in _blocks(file, width):
        rows[at : at + len(block)] = block
        at += len(block)
    rows.flags.writeable = False
    return rows


def _blocks(file: pq.ParquetFile, width: int) -> Iterator[NDArray[np.float32]]:
    """The vectors, in blocks that take little memory."""
    size = max(_AT_ONCE // width, 1)
    for batch in file.iter_batches(size, columns=[_VECTORS], use_threads=False):
        block = _table(batch.column(0), width)
        try:
            if block.dtype.kind not in "biufO":  # numpy silently converts dates and the like
                raise TypeError
            with np.errstate(over="ignore"):
                yield block.astype(np.float32, copy=False)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError("reference: not a table of numbers", "not-a-number-table") from error


def _table(lists: pa.Array, width: int) -> NDArray[Any]:
    """A column of lists as a table (n, width).

    Raises:
        ValueError: a list has another length.
    """
    import pyarrow as pa

    whole = pa.types.is_fixed_size_list(lists.type) and lists.type.list_size == width
    if whole and not lists.null_count and not (values := lists.flatten()).null_count:
        # A view: the general way below makes an object of each row.
        return np.asarray(values.to_numpy().reshape(-1, width))
    block = np.stack(lists.to_numpy(zero_copy_only=False))
    if block.shape[1:] != (width,):
        raise ValueError("all input arrays must have the same shape")
    return block


def origin(path: Path | str) -> Provenance | None:
    """The provenance of the embeddings in a file, without reading them.

    Raises:
        InputError: the file is not a table of references.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        notes = pq.read_schema(Path(path).absolute()).metadata or {}
        noted = json.loads(notes.get(PROVENANCE, "null"))
        return None if noted is None else Provenance.of_json(noted)
    except InputError as error:
        raise InputError(f"{path}: {error}", error.code) from error
    except (pa.ArrowException, ValueError, RecursionError, OSError) as error:
        raise InputError(
            f"{path} is not a table of references: {first_line(error)}", "not-a-reference-table"
        ) from error


def _checksum(references: Columns, vectors: Iterable[NDArray[np.float32]]) -> int:
    """Checksum of all columns: Parquet's own checksums leave out dictionaries and metadata.

    Args:
        references: their vectors are ignored.
        vectors: the vectors, in one or more blocks.
    """
    labels = [references.labels, references.label_ids.tolist(), references.target_names]
    texts = [references.ids, references.paths, references.sha256]
    texts += [references.occasions] if any(references.occasions) else []
    check = zlib.crc32(json.dumps([*texts, *labels, _origin(references)]).encode())
    for numbers in chain(vectors, [references.targets]):
        check = zlib.crc32(np.ascontiguousarray(numbers).data, check)
    return check


def _origin(references: Columns) -> dict[str, Any] | None:
    return asdict(references.provenance) if references.provenance else None


def _names(noted: Any, what: str) -> list[str] | None:  # noqa: ANN401
    if noted is None or (isinstance(noted, list) and all(isinstance(one, str) for one in noted)):
        return noted
    raise InputError(f"its {what} are not stored as a list of names", "not-a-text-list")
