"""The vectors given to a command: rows of a .npy, .csv or .json file."""

from __future__ import annotations

import csv
import io
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError
from pocketknn.builder.system.untrusted_json import parse_json
from pocketknn.builder.wording import counted

from .pictures import STDIN_NAME, Picture

SUFFIXES = (".npy", ".csv", ".json")
_OF_STDIN = ".json"


def rows_of(file: Picture, model: str, width: int) -> NDArray[np.float32]:
    """The vectors of a file (n, width).

    A .npy file holds a table (n, width) or one vector (width,); a .csv file holds a vector per
    line, with or without a header; a .json file, or standard input, holds a list of lists, one
    list, or a data set saved by ml5.js.

    Args:
        file: the file.
        model: the name of the model file, for messages.
        width: how many features the model takes.

    Raises:
        InputError: it cannot be read, has another type or width, or holds a value that is not
            finite in float32.
    """
    suffix = _OF_STDIN if file.name == STDIN_NAME else PurePath(file.name).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"{model} takes vectors of {counted(width, 'feature')}, as rows of a .npy, .csv or"
            f" .json file; not {file.name}",
            "takes-vectors",
        )
    try:
        table = _READERS[suffix](file.content())
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{file.name} cannot be read: {reason}", "unreadable-file") from error
    except (ValueError, TypeError, EOFError, OverflowError, MemoryError, csv.Error) as error:
        raise InputError(
            f"{file.name} is not a table of numbers with {width} per row", "not-a-number-table"
        ) from error
    if table.ndim == 1 and table.size:
        table = table[None]
    if table.ndim != 2 or not len(table):
        raise InputError(
            f"{file.name} holds an array of shape {table.shape}; {model} takes (n, {width})",
            "wrong-shape",
        )
    if table.shape[1] != width:
        raise InputError(
            f"the rows of {file.name} have {counted(table.shape[1], 'value')};"
            f" {model} takes {width}",
            "width-mismatch",
        )
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
        raise InputError(
            f"row {row + 1} of {file.name} holds a value that is not finite in float32",
            "value-not-finite",
        )
    return table


def _numbers(given: Any) -> NDArray[np.float32]:  # noqa: ANN401  # whatever the file holds
    table = np.asarray(given)
    if table.dtype.kind not in "fiu":
        raise TypeError("not numbers")
    with np.errstate(over="ignore"):
        return table.astype(np.float32)


def _npy(content: bytes) -> NDArray[np.float32]:
    return _numbers(np.load(io.BytesIO(content), allow_pickle=False))


def _csv(content: bytes) -> NDArray[np.float32]:
    lines = [line for line in csv.reader(io.StringIO(content.decode("utf-8-sig"))) if any(line)]
    if lines and not _is_number(lines[0][0]):
        del lines[0]  # headings
    return _numbers([[float(cell) for cell in line] for line in lines])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _json(content: bytes) -> NDArray[np.float32]:
    from pocketknn.builder.references.ml5_json import references_of

    held = parse_json(content)
    if isinstance(held, dict):  # what ml5.js saved, such as the file that the model was built from
        return references_of(held, None).vectors
    return _numbers(held)


_READERS = {".npy": _npy, ".csv": _csv, ".json": _json}
