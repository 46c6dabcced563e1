"""Photos listed in a CSV or Parquet table."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pocketknn.builder.errors import InputError

from .limits import MOST_TEXT, check_table
from .photo import Photo
from .readers import LocalFile, read_file

ENDINGS = (".csv", ".parquet")


def photos_of(
    path: Path,
    path_column: str,
    label_column: str | None,
    target_columns: Sequence[str],
    occasion_column: str | None = None,
) -> Iterator[Photo]:
    """The photos in a table's rows; rows without a path are skipped.

    Args:
        path: the table; paths in it are relative to its folder.
        path_column: the column of paths.
        label_column: the column of labels; None for "label" if it exists.
        target_columns: numbers for regression.
        occasion_column: the column of occasions.

    Raises:
        InputError: it cannot be read, lacks a column, or a target is not a number.
    """
    wanted = (path_column, *target_columns, *filter(None, [occasion_column]))
    columns = _columns(path, wanted, label_column)
    labels = columns.get(label_column or "label") or [""] * len(columns[path_column])
    named = [label if label.strip() else "" for label in labels]
    numbers = [columns[name] for name in target_columns]
    occasions = columns[occasion_column] if occasion_column else [""] * len(named)
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
                occasion=occasions[row].strip(),
            )


def _name(place: Path, folder: Path, label: str) -> str:
    """A name for a photo in a table that does not reveal its location on this machine.

    Below the table's folder it is the relative path; elsewhere, the class and the file name.
    """
    path, above = (Path(os.path.abspath(one)) for one in (place, folder))  # noqa: PTH100  # without ..
    if path.is_relative_to(above) and above.name:  # not for the root folder, which has no name
        return path.relative_to(above).as_posix()
    return f"{label}/{path.name}" if label else path.name


def _number(cell: str, what: str) -> float:
    try:
        value = float(cell)
    except ValueError as error:
        raise InputError(f"{what} is {cell!r}, which is not a number", "not-a-number") from error
    if not math.isfinite(value):
        raise InputError(f"{what} is {cell!r}; a target must be finite", "value-not-finite")
    return value


def _columns(path: Path, wanted: Sequence[str], label: str | None) -> dict[str, list[str]]:
    """Some columns of a table as strings, with "" for empty cells.

    Args:
        path: the table.
        wanted: the columns.
        label: another column; None for "label" if it exists.

    Raises:
        InputError: the table cannot be read, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def chosen(names: Sequence[str]) -> list[str]:
        more = label or ("label" if "label" in names else None)
        found = [*dict.fromkeys([*wanted, *([more] if more else [])])]
        for name in found:
            if name not in names:
                listed = ", ".join(map(repr, names))
                raise InputError(
                    f"{path.name} has no column {name!r}; its columns are {listed}",
                    "unknown-column",
                )
            if names.count(name) > 1:
                raise InputError(
                    f"{path.name} has more than one column {name!r}", "duplicate-column"
                )
        return found

    try:
        if path.suffix.lower() == ".parquet":
            names = chosen(pq.read_schema(path.absolute()).names)
            check_table(path, names)
            table = pq.read_table(path.absolute(), columns=names)
            return {
                name: ["" if cell is None else str(cell) for cell in table[name].to_pylist()]
                for name in names
            }
        text = read_file(path, MOST_TEXT).decode("utf-8-sig")
        rows = filter(None, csv.reader(io.StringIO(text, newline="")))
        header = next(rows, [])
        cells: dict[str, list[str]] = {name: [] for name in chosen(header)}
        places = [header.index(name) for name in cells]
        for row in rows:  # one by one: parsed rows take far more memory than the file
            for place, column in zip(places, cells.values(), strict=True):
                column.append(row[place] if place < len(row) else "")
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path.name} cannot be read as a table: {error}", "unreadable-table"
        ) from error
    return cells
