"""References as a Parquet file, which says by a checksum whether it is whole."""

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
from pocketknn.builder.photos.limits import check_table

from .columns import Columns

# What the schema's metadata note.
PROVENANCE = b"pocketknn.provenance"
_CLASSES, _TARGETS = b"pocketknn.classes", b"pocketknn.targets"
_CHECK = b"pocketknn.crc32"
_TEXTS = ("id", "path", "label", "sha256")
_OCCASION = "occasion"  # a column that is there where photos have one

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
    # In "s3:r.parquet" pyarrow would see an address.
    pq.write_table(table, Path(path).absolute())


def read(path: Path | str, made_of: Callable[..., R]) -> R:
    """Read what `write` wrote, of this version or an earlier one, which noted no checksum.

    Args:
        path: the file.
        made_of: `References.of`.

    Raises:
        InputError: the file is no table of references, or is damaged.
    """
    import pyarrow as pa

    try:
        return _read(path, made_of)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: its metadata are no JSON: {first_line(error)}") from error
    except (
        pa.ArrowException,
        KeyError,
        AttributeError,
        ValueError,
        TypeError,
        RecursionError,
        OSError,
    ) as error:
        reason = first_line(error).strip("'")  # as KeyError puts them around a whole sentence
        raise InputError(f"{path} is no table of references: {reason}") from error


def _read(path: Path | str, made_of: Callable[..., R]) -> R:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(Path(path).absolute())
    notes = {
        k: json.loads(v)
        for k, v in (schema.metadata or {}).items()
        if k in (PROVENANCE, _CLASSES, _TARGETS, _CHECK)
    }
    names = _names(notes.get(_TARGETS), "targets") or []
    there = [*_TEXTS, *({_OCCASION} & {*schema.names})]
    numbers = [f"target: {name}" for name in names]
    wanted = {*there, *numbers, "embedding"} & {*schema.names}
    check_table(Path(path), sorted(wanted - {"embedding"}))
    kind = schema.field("embedding").type if "embedding" in schema.names else None
    is_list = kind and (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))
    if kind and not (is_list and pa.types.is_primitive(kind.value_type)):
        raise InputError(f"its column embedding holds {kind}, not lists of numbers")
    table = pq.read_table(Path(path).absolute(), columns=sorted(wanted))
    if not table.num_rows:
        raise InputError("it holds no references")
    vectors = np.stack(table["embedding"].to_numpy())
    texts = {name: table[name].cast(pa.string()).fill_null("").to_pylist() for name in there}
    targets = [table[name].to_numpy() for name in numbers]
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
            "it is damaged, or was changed by a program that left its checksum as it was"
        )
    return found


def origin(path: Path | str) -> Provenance | None:
    """Where the embeddings in a file come from; they themselves stay there.

    Raises:
        InputError: the file is no table of references.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        notes = pq.read_schema(Path(path).absolute()).metadata or {}
        noted = json.loads(notes.get(PROVENANCE, "null"))
        return None if noted is None else Provenance.of_json(noted)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (pa.ArrowException, ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path} is no table of references: {first_line(error)}") from error


def _checksum(references: Columns) -> int:
    """Of all that is kept: Parquet's own checksums leave out dictionaries and metadata."""
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
    raise InputError(f"its {what} are not noted as a list of names")
