"""Photos that a CSV or Parquet table lists."""

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


def _columns(path: Path, wanted: Sequence[str], label: str | None) -> dict[str, list[str]]:
    """Columns of a table as texts, an empty cell as ""; of the others nothing is kept.

    Args:
        path: the table.
        wanted: the columns.
        label: a further one; "label", where there is one, when None.

    Raises:
        InputError: it cannot be read, or lacks one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def chosen(names: Sequence[str]) -> list[str]:
        more = label or ("label" if "label" in names else None)
        found = [*dict.fromkeys([*wanted, *([more] if more else [])])]
        for name in found:
            if name not in names:
                there = ", ".join(map(repr, names))
                raise InputError(f"{path.name} has no column {name!r}; its columns are {there}")
            if names.count(name) > 1:
                raise InputError(f"{path.name} has more than one column {name!r}")
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
        for row in rows:  # one by one: a row of many cells takes far more memory than in its file
            for place, column in zip(places, cells.values(), strict=True):
                column.append(row[place] if place < len(row) else "")
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name} cannot be read as a table: {error}") from error
    return cells
