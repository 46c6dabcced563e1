"""Whether a file holds all references as they are: the queries meet a few only."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit

_ROWS = 1024  # of a matrix, compared at once


def holds(files: Sequence[Path], fit: Fit) -> bool:
    """Whether one of the files holds the references bit for bit, by rows or by columns.

    With an index, as it stores them; bytes may have another sign, as ONNX files have it.
    """
    held = [fit.space.constants["references"]] if fit.index is None else fit.index.held
    return all(
        any(_in_file(layout, file) for file in files for layout in _layouts(table))
        for table in held
    )


def _layouts(table: NDArray[Any]) -> list[NDArray[Any]]:
    found = [table, table.T]
    return [*found, table.view(np.uint8) ^ np.uint8(128)] if table.dtype == np.int8 else found


def _in_file(layout: NDArray[Any], file: Path) -> bool:
    """Whether a file holds a matrix as it would lie in memory, row after row."""
    if file.stat().st_size < layout.nbytes:
        return False
    width = layout.shape[1] * layout.itemsize
    anchor = int(np.argmax(np.abs(layout).max(axis=1)))  # zeros would be found all over the file
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as held:
        place, sought = -1, layout[anchor].tobytes()
        while (place := held.find(sought, place + 1)) >= 0:
            first = place - anchor * width
            blocks = range(0, len(layout), _ROWS)
            if first >= 0 and all(
                held[first + row * width : first + min(row + _ROWS, len(layout)) * width]
                == layout[row : row + _ROWS].tobytes()
                for row in blocks
            ):
                return True
    return False
