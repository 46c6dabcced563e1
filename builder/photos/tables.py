"""Photos that a CSV or Parquet table lists."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from pocketknn.builder.errors import InputError

from .photo import Photo
from .readers import LocalFile, check_rows, read_file

ENDINGS = (".csv", ".parquet")


def photos_of(
    path: Path,
    path_column: str,
    label_column: str | None,
    target_columns: Sequence[str],
    occasion_column: str | None = None,
) -> Iterator[Photo]:
    """The photos of a table's rows; a row without a path is passed over.

    Args:
        path: the table; paths in it are relative to its folder.
        path_column: where the paths are.
        label_column: where the labels are; "label", where there is one, when None.
        target_columns: numbers for regression.
        occasion_column: on which occasion each photo was taken.

    Raises:
        InputError: it cannot be read, lacks a column, or a target is no number.
    """
    columns = _columns(path)
    labels = label_column or ("label" if "label" in columns else None)
    for wanted in filter(None, (path_column, labels, *target_columns, occasion_column)):
        if wanted not in columns:
            there = ", ".join(repr(name) for name in columns)
            raise InputError(f"{path.name} has no column {wanted!r}; its columns are {there}")
    named = [label if label.strip() else "" for label in columns[labels]] if labels else []
    named = named or [""] * len(columns[path_column])
    numbers = [columns[name] for name in target_columns]
    occasions = columns[occasion_column] if occasion_column else [""] * len(named)
    folder, places = path.parent.absolute(), columns[path_column]
    names = _relative(places, folder)
    for row, (place, label) in enumerate(zip(places, named, strict=True)):
        if place:
            yield Photo(
                name=names[row],
                label=label,
                content=LocalFile(str(folder / place)),
                targets=tuple(
                    _number(column[row], f"{name!r} of {place}")
                    for name, column in zip(target_columns, numbers, strict=True)
                ),
                occasion=occasions[row].strip(),
            )


def _relative(places: Sequence[str], folder: Path) -> list[str]:
    """Names for the places in a table, of which none says where on this machine it lies.

    Those below the table's folder are named from there, others that are absolute from the folder
    that they share.
    """
    inside = [_below(place, folder) for place in places]
    outside = [place for place, name in zip(places, inside, strict=True) if name is None]
    shared = os.path.commonpath([Path(place).parent for place in outside]) if outside else ""
    return [
        Path(place).relative_to(shared).as_posix() if name is None else name
        for place, name in zip(places, inside, strict=True)
    ]


def _below(place: str, folder: Path) -> str | None:
    """The name from a folder; None of an absolute place elsewhere."""
    path = Path(place)
    if not path.is_absolute():
        return PurePosixPath(place).as_posix()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None


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
