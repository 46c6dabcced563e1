"""How the references lie in a file, and which of them are compared with a query.

One dense layer of float32 reads every number of every reference for each query. An index reads
less: shorter rows in eight bits decide which references are worth it, and only these are scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pocketknn.builder.choices.neighbors import Floats


LARGE = ("references", "scan", "cells")  # the constants that have a row for each reference
LARGEST = 127  # of a code; -128 is left out, so that both sides are the same

Values = NDArray[np.int8]


class Codes(NamedTuple):
    """Rows that are nearly `middle + steps * values`.

    The steps belong to columns, not to rows, so that they can be multiplied into a query: a product
    with the codes alone then ranks the rows, and no row has a number of its own beside its codes.

    Attributes:
        values: (n, r) int8.
        steps: (r,) float32, above 0.
        middle: (r,) float32.
    """

    values: Values
    steps: NDArray[np.float32]
    middle: NDArray[np.float32]


def scale(least: Floats, largest: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The steps and the middle (r,) of columns whose values lie between two numbers each.

    The middle is that between the two, not the mean: pooled features pile up near zero, and codes
    for what lies below would not be used.
    """
    middle = ((least + largest) / 2).astype(np.float32)
    # Both ends must be within reach of the rounded middle.
    reach = np.maximum(largest - middle, middle - least)
    # A column that never changes may have any step.
    return np.where(reach > 0, reach / LARGEST, 1).astype(np.float32), middle


def encode(rows: Floats, steps: NDArray[np.float32], middle: NDArray[np.float32]) -> Values:
    """The codes (n, r) of rows."""
    return np.clip(np.rint((rows - middle) / steps), -LARGEST, LARGEST).astype(np.int8)


def quantised(queries: Floats) -> Floats:
    """Queries (q, r) as files take them for a product with codes, 127 steps to each side of zero.

    That is ONNX files' own rule. LiteRT's steps are finer: 255 from the least to the largest value.
    """
    step = np.abs(queries).max(axis=1, keepdims=True, initial=0) / LARGEST
    step = np.where(step > 0, step, 1)
    found: Floats = np.rint(queries / step) * step
    return found


class Cells(NamedTuple):
    """References in groups of neighbours, all with room for as many.

    Attributes:
        centroids: (C, w) float32, the middle of each cell.
        bias: (C,) float32: a query's product with a centroid, plus this, is the larger the nearer.
        codes: (C, room, w) int8, rows of the scan; zeros where there is no reference.
        members: (C, room) int32, numbers of the references; -1 where there is none.
    """

    centroids: NDArray[np.float32]
    bias: NDArray[np.float32]
    codes: NDArray[np.int8]
    members: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Index:
    """Unit vectors to be searched by cosine.

    Attributes:
        search: one of `SEARCHES`, which says what is scanned before references are scored.
        precision: of the stored references, `float32`, `float16` or `int8`.
        table: (n, r) the references: float32, float16, or int8 codes.
        codes: what the codes of the table mean; None where there are none.
        candidates: how many references are scored after the scan; 0 where all are.
        rotation: (r, w) float32, from a query to what is compared with the scan; or None.
        scan: (n, w) int8, the references' first components; None without `rerank`.
        cells: the same by cells; None without `ivf`.
        probes: how many cells are scanned.
        error: the largest distance of a stored reference from the one that it stands for, and so
            the most that a score can be off for it.
        recall: share of the exact k nearest that it finds, for references that are left out.
        queries: how many were asked for that.
    """

    search: str = "exact"
    precision: str
    table: NDArray[Any]
    codes: Codes | None = None
    candidates: int = 0
    rotation: NDArray[np.float32] | None = None
    scan: NDArray[np.int8] | None = None
    cells: Cells | None = None
    probes: int = 0
    error: float = 0.0
    recall: float | None = None
    queries: int = 0

    @property
    def width(self) -> int:
        """Values w that the scan compares; 0 without one."""
        return 0 if self.rotation is None else self.rotation.shape[1]

    @property
    def approximate(self) -> bool:
        """Whether it may miss a neighbour, or tell less of a score than float32 does."""
        return self.rotation is not None or self.precision == "int8"

    @property
    def cell_sizes(self) -> NDArray[np.int64]:
        """How many references there are in each cell, the fewest first."""
        assert self.cells is not None
        return np.sort((self.cells.members >= 0).sum(axis=1))

    @property
    def held(self) -> list[NDArray[Any]]:
        """What a file must hold as it lies here, a row for each reference or cell."""
        cells = None if self.cells is None else self.cells.codes.reshape(len(self.cells.codes), -1)
        return [one for one in (self.table, self.scan, cells) if one is not None]

    @property
    def constants(self) -> dict[str, NDArray[Any]]:
        """What the graph holds of the references, by name.

        In the graph all are float32. Files hold `LARGE` in the type that they have here: a float32
        tells every float16 and every byte exactly.

        Returns:
            `references` (n, r); `steps` and `offset` (r,), what codes of references mean: the
            offset is minus their middle; `rotation` (r, w); `scan` (n, w); or `cells`
            (C, room × w), `members` (C, room), -1 for nobody, and `centroids` (C, w) with their
            `closeness` (C,).
        """
        found: dict[str, NDArray[Any]] = {"references": self.table}
        if self.codes is not None:
            found |= {"steps": self.codes.steps, "offset": -self.codes.middle}
        if self.rotation is not None:
            found["rotation"] = self.rotation
        if self.scan is not None:
            found["scan"] = self.scan
        if (cells := self.cells) is not None:
            found["cells"] = cells.codes.reshape(len(cells.codes), -1)
            found["members"] = cells.members.astype(np.float32)
            found |= {"centroids": cells.centroids, "closeness": cells.bias}
        return found

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of tensors in the graph that the references decide, beside their number."""
        if self.cells is None:
            return {}
        count, room, width = self.cells.codes.shape
        sizes = {"cells": count, "room": room, "cell": room * width}
        return sizes | {"scanned": self.probes * room}

    @property
    def numbers(self) -> tuple[str | int, ...]:
        """All else that decides the graph: what is the same here can be filled into one file."""
        return self.search, self.precision, self.candidates, self.width, self.probes

    @property
    def work(self) -> tuple[int, int]:
        """Multiplications for one query, and bytes of references that it reads."""
        n, r = self.table.shape
        scored = self.candidates * r
        read = scored * self.table.itemsize
        if self.rotation is None:
            return n * r + scored, n * r * self.table.itemsize + read
        turned, w = self.rotation.size, self.width
        if self.cells is None:
            return turned + n * w + scored, n * w + read
        count, room = self.cells.members.shape
        scanned = self.probes * room * w
        return turned + count * w + scanned + scored, 4 * count * w + scanned + read

    def rows(self, chosen: Any) -> Floats:  # noqa: ANN401  # whatever numpy takes for rows
        """Unit vectors as the file gives them back, for some rows: (…, r) float64."""
        stored: Floats = self.table[chosen].astype(np.float64)
        if self.codes is not None:
            stored = stored * self.codes.steps + self.codes.middle
        return stored

    def turned(self, units: Floats) -> Floats:
        """What of unit queries (q, r) the scan is multiplied by: (q, w)."""
        if self.rotation is not None:
            return units @ self.rotation.astype(np.float64)
        return units if self.codes is None else units * self.codes.steps
