"""How the references are stored in a file, and which of them are compared with a query.

One dense layer of float32 reads every number of every reference for each query. An index reads
less: shorter 8-bit rows select the candidates, and only these are scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints, Running

LARGE = ("references", "scan")  # the constants with a row for each reference
LARGEST = 127  # code; -128 is unused, for symmetry
_AT_ONCE = 1 << 16  # rows scored at once, for all queries

Values = NDArray[np.int8]


class Codes(NamedTuple):
    """int8 codes of rows, with one scale and zero point per column.

    A row is approximately `middle + steps * values`. With a step per column, not per row, the steps
    can be folded into a query: a product with the codes alone then ranks the rows.

    Attributes:
        values: (n, r) int8.
        steps: (r,) float32, above 0.
        middle: (r,) float32.
    """

    values: Values
    steps: NDArray[np.float32]
    middle: NDArray[np.float32]


def scale(smallest: Floats, largest: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The steps and the middle (r,) for columns with these minima and maxima.

    The middle is the midpoint, not the mean: pooled features pile up near zero, and with the mean
    many codes below it would be unused.
    """
    middle = ((smallest + largest) / 2).astype(np.float32)
    # Both ends must be within reach of the rounded middle.
    reach = np.maximum(largest - middle, middle - smallest)
    # A constant column may have any step.
    return np.where(reach > 0, reach / LARGEST, 1).astype(np.float32), middle


def encode(rows: Floats, steps: NDArray[np.float32], middle: NDArray[np.float32]) -> Values:
    """The codes (n, r) of rows."""
    return np.clip(np.rint((rows - middle) / steps), -LARGEST, LARGEST).astype(np.int8)


def quantised(queries: Floats) -> Floats:
    """Queries (q, r) rounded as in files for a product with codes: 127 steps either side of zero.

    That is the rule in ONNX files. LiteRT's steps are finer: 255 between minimum and maximum.
    """
    step = np.abs(queries).max(axis=1, keepdims=True, initial=0) / LARGEST
    step = np.where(step > 0, step, 1)
    found: Floats = np.rint(queries / step) * step
    return found


def best(table: NDArray[Any], queries: Floats, wanted: int) -> Ints:
    """The rows of a table (n, w) with the largest products: (q, wanted), the best first."""
    given = queries.astype(np.float32)
    running = Running(wanted)
    for start in range(0, len(table), _AT_ONCE):
        running.add(given @ table[start : start + _AT_ONCE].astype(np.float32).T, start)
    return running.ranked()[1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Index:
    """Unit vectors to be searched by cosine.

    Attributes:
        search: one of `SEARCHES`; it determines the scan before references are scored.
        precision: of the stored references, `float32`, `float16` or `int8`.
        table: (n, r) the references: float32, float16, or int8 codes.
        codes: the steps and middle of the table's codes; None if it holds floats.
        candidates: how many references are scored after the scan; 0 for all.
        rotation: (r, w) float32, from a query to the components that the scan compares; or None.
        scan: (n, w) int8, the references' first components; None without `rerank`.
        error: maximum distance of a stored reference from the original, which bounds the error of
            a score.
        recall: share of the exact k nearest that it finds, for held-out references.
        queries: how many were used to measure the recall.
    """

    search: str = "exact"
    precision: str
    table: NDArray[Any]
    codes: Codes | None = None
    candidates: int = 0
    rotation: NDArray[np.float32] | None = None
    scan: NDArray[np.int8] | None = None
    error: float = 0.0
    recall: float | None = None
    queries: int = 0

    @property
    def width(self) -> int:
        """The number w of values that the scan compares; 0 without a scan."""
        return 0 if self.rotation is None else self.rotation.shape[1]

    @property
    def approximate(self) -> bool:
        """Whether it may miss a neighbour, or give scores less precise than float32."""
        return self.rotation is not None or self.precision == "int8"

    @property
    def held(self) -> list[NDArray[Any]]:
        """The arrays that a file must hold unchanged, with a row for each reference."""
        return [self.table] if self.scan is None else [self.table, self.scan]

    @property
    def constants(self) -> dict[str, NDArray[Any]]:
        """The tensors of the search's graph that depend on the references, by name.

        In the graph all are float32, which represents float16 and int8 exactly. In files, those
        named in `LARGE` keep the types that they have here.

        Returns:
            `references` (n, r); `steps` and `offset` (r,), the scale of its codes and their negated
            middle; `rotation` (r, w) and `scan` (n, w).
        """
        found: dict[str, NDArray[Any]] = {"references": self.table}
        if self.codes is not None:
            found |= {"steps": self.codes.steps, "offset": -self.codes.middle}
        if self.rotation is not None:
            found["rotation"] = self.rotation
        if self.scan is not None:
            found["scan"] = self.scan
        return found

    @property
    def numbers(self) -> tuple[str | int, ...]:
        """Everything else that determines the graph; indexes that agree in it share a template."""
        return self.search, self.precision, self.candidates, self.width

    @property
    def work(self) -> tuple[int, int]:
        """Multiplications for one query, and the bytes of references it reads."""
        n, r = self.table.shape
        scored = self.candidates * r
        read = scored * self.table.itemsize
        if self.rotation is None:
            return n * r + scored, n * r * self.table.itemsize + read
        scanned = n * self.width
        return self.rotation.size + scanned + scored, scanned + read

    def rows(self, chosen: Any) -> Floats:  # noqa: ANN401  # any numpy index
        """Some unit vectors, restored from stored precision: (…, r) float64."""
        stored: Floats = self.table[chosen].astype(np.float64)
        if self.codes is not None:
            stored = stored * self.codes.steps + self.codes.middle
        return stored

    def turned(self, units: Floats) -> Floats:
        """Unit queries (q, r) in the form that the scan compares: (q, w)."""
        if self.rotation is not None:
            return units @ self.rotation.astype(np.float64)
        return units if self.codes is None else units * self.codes.steps
