"""Photos that a CSV or Parquet table lists."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pocketknn.builder.errors import InputError

from .photo import Photo
from .readers import LocalFile, check_rows, read_file

ENDINGS = (".csv", ".parquet")


def photos_of(
    path: Path, path_column: str, label_column: str | None, target_columns: Sequence[str]
) -> Iterator[Photo]:
    """The photos of a table's rows; a row without a path is passed over.

    Args:
        path: the table; paths in it are relative to its folder.
        path_column: where the paths are.
        label_column: where the labels are; "label", where there is one, when None.
        target_columns: numbers for regression.

    Raises:
        InputError: it cannot be read, lacks a column, or a target is no number.
    """
    columns = _columns(path)
    labels = label_column or ("label" if "label" in columns else None)
    for wanted in filter(None, (path_column, labels, *target_columns)):
        if wanted not in columns:
            there = ", ".join(repr(name) for name in columns)
            raise InputError(f"{path.name} has no column {wanted!r}; its columns are {there}")
    named = [label if label.strip() else "" for label in columns[labels]] if labels else []
    named = named or [""] * len(columns[path_column])
    numbers = [columns[name] for name in target_columns]
    folder, places = path.parent.absolute(), columns[path_column]
    for row, (place, label) in enumerate(zip(places, named, strict=True)):
        if place:
            yield Photo(
                name=_name(folder / place, folder, label),
                label=label,
                content=LocalFile(str(folder / place)),
                targets=tuple(
                    _number(column[row], f"{name!r} of {place}")
                    for name, column in zip(target_columns, numbers, strict=True)
                ),
            )


def _name(place: Path, folder: Path, label: str) -> str:
    """A name for a photo that a table lists, which does not say where on this machine it lies.

    One below the table's folder is named from there, another by its class and its own name.
    """
    path, above = (Path(os.path.abspath(one)) for one in (place, folder))  # noqa: PTH100  # without ..
    if path.is_relative_to(above) and above.name:  # all lies below a root, which has no name
        return path.relative_to(above).as_posix()
    return f"{label}/{path.name}" if label else path.name


def _number(cell: str, what: str) -> float:
    try:
        value = float(cell)
    except ValueError as error:
        raise InputError(f"{what} is {cell!r}, which is no number") from error
    if not math.isfinite(value):
        raise InputError(f"{what} is {cell!r}; a target must be finite")
    return value


def _columns(path: Path) -> dict[str, list[str]]:
    """A table's columns as texts; an empty cell is ""."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() == ".parquet":
            check_rows(path)
            table = pq.read_table(path)
            return {
                name: ["" if cell is None else str(cell) for cell in table[name].to_pylist()]
                for name in table.column_names
            }
        text = read_file(path).decode("utf-8-sig")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        names = list(rows.fieldnames or ())
        cells = [[row.get(name) or "" for name in names] for row in rows]
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name} cannot be read as a table: {error}") from error
    return {name: [row[i] for row in cells] for i, name in enumerate(names)}
