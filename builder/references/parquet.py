"""References as a Parquet file with a checksum."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pocketknn.builder.backbones.provenance import Provenance
from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.photos.readers import check_rows

from .columns import Columns

# Keys of the schema's metadata.
PROVENANCE = b"pocketknn.provenance"
_CLASSES, _TARGETS = b"pocketknn.classes", b"pocketknn.targets"
_CHECK = b"pocketknn.crc32"
_TEXTS = ("id", "path", "label", "sha256")
_OCCASION = "occasion"  # an optional column

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
        _CHECK: _checksum(references),
    }
    table = pa.table(columns).replace_schema_metadata(
        {key: json.dumps(value) for key, value in notes.items()}
    )
    # Absolute, as pyarrow takes "s3:r.parquet" for a URL.
    pq.write_table(table, Path(path).absolute())


def read(path: Path | str, made_of: Callable[..., R]) -> R:
    """Read a file of `write`, from this version or an earlier one without a checksum.

    Args:
        path: the file.
        made_of: `References.of`.

    Raises:
        InputError: the file is not a table of references, or is damaged.
    """
    import pyarrow as pa

    try:
        return _read(path, made_of)
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


def _read(path: Path | str, made_of: Callable[..., R]) -> R:
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_rows(Path(path))
    schema = pq.read_schema(Path(path).absolute())
    kind = schema.field("embedding").type if "embedding" in schema.names else None
    if kind and not (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise InputError(
            f"its column embedding holds {kind}, not lists of numbers", "not-a-reference-table"
        )
    table = pq.read_table(Path(path).absolute())
    if not table.num_rows:
        raise InputError("it holds no references", "no-references")
    vectors = np.stack(table["embedding"].to_numpy())
    there = [*_TEXTS, *({_OCCASION} & {*table.column_names})]
    texts = {name: table[name].cast(pa.string()).fill_null("").to_pylist() for name in there}
    notes = {
        k: json.loads(v)
        for k, v in (table.schema.metadata or {}).items()
        if k in (PROVENANCE, _CLASSES, _TARGETS, _CHECK)
    }
    names = _names(notes.get(_TARGETS), "targets") or []
    targets = [table[f"target: {name}"].to_numpy() for name in names]
    classes = _names(notes.get(_CLASSES), "classes")
    labelled = any(texts["label"])
    origin = notes.get(PROVENANCE)
    found = made_of(
        vectors,
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
    if _CHECK in notes and notes[_CHECK] != _checksum(found):
        raise InputError(
            "checksum mismatch: it is damaged, or was changed by a program that kept the checksum",
            "checksum-mismatch",
        )
    return found


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


def _checksum(references: Columns) -> int:
    """Checksum of everything stored: Parquet's own omit dictionaries and metadata."""
    labels = [references.labels, references.label_ids.tolist(), references.target_names]
    texts = [references.ids, references.paths, references.sha256]
    texts += [references.occasions] if any(references.occasions) else []
    check = zlib.crc32(json.dumps([*texts, *labels, _origin(references)]).encode())
    for numbers in (references.vectors, references.targets):
        check = zlib.crc32(np.ascontiguousarray(numbers).data, check)
    return check


def _origin(references: Columns) -> dict[str, Any] | None:
    return asdict(references.provenance) if references.provenance else None


def _names(noted: Any, what: str) -> list[str] | None:  # noqa: ANN401
    if noted is None or (isinstance(noted, list) and all(isinstance(one, str) for one in noted)):
        return noted
    raise InputError(f"its {what} are not stored as a list of names", "not-a-name-list")
