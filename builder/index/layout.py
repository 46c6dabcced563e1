"""How the references lie in a file, and which of them are compared with a query.

One dense layer of float32 reads every number of every reference for each query. An index reads
less: shorter rows in eight bits decide which references are worth it, and only these are scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.knn.exact import Floats, Ints, Neighbors, rank

from .scalar_quantization import Codes, quantised

_AT_ONCE = 1 << 16  # references whose scores are held at once, for all queries


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
        search: `exact`, all references are compared as they are stored; `rerank`, all by the scan,
            the best of them as they are stored; `ivf`, the same within the nearest cells.
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

    search: str
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
        return self.search != "exact" or self.precision == "int8"

    @property
    def held(self) -> list[NDArray[Any]]:
        """What a file must hold as it lies here, a row for each reference or cell."""
        cells = None if self.cells is None else self.cells.codes.reshape(len(self.cells.codes), -1)
        return [one for one in (self.table, self.scan, cells) if one is not None]

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

    def find(self, units: Floats, k: int, own: Ints | None = None) -> Neighbors:
        """The k nearest that this index finds, as the graphs do it, but for the last bits.

        Args:
            units: (q, r) queries of length 1.
            k: how many.
            own: (q,) the row that each query must not find, or None.
        """
        first = self.turned(units)
        wanted = (self.candidates or k) + (own is not None)
        if self.cells is not None:
            found = self._in_cells(first, wanted)
        else:  # nothing is lost by a product of floats, which is the only one without candidates
            found = self.best(quantised(first) if self.candidates else first, wanted)
        scores = np.empty(found.shape)
        for number, query in enumerate(units):  # all rows of all queries would not fit
            scores[number] = self.rows(found[number]) @ query
        scores[found < 0] = -np.inf
        if own is not None:
            scores[found == own[:, None]] = -np.inf
        best = rank(scores, k)
        return Neighbors(best.scores, np.take_along_axis(found, best.indices, axis=1))

    def best(self, queries: Floats, wanted: int) -> Ints:
        """Rows that the first pass over all references ranks best: (q, wanted), the best first."""
        table = self.table if self.scan is None else self.scan
        given = queries.astype(np.float32)
        scores, rows = np.empty((len(given), 0), np.float32), np.empty((len(given), 0), np.int64)
        for start in range(0, len(table), _AT_ONCE):
            block = given @ table[start : start + _AT_ONCE].astype(np.float32).T
            numbers = np.broadcast_to(np.arange(start, start + block.shape[1]), block.shape)
            scores = np.concatenate([scores, block], axis=1)
            rows = np.concatenate([rows, numbers], axis=1)
            if scores.shape[1] > wanted:
                kept = np.sort(np.argpartition(-scores, wanted - 1, axis=1)[:, :wanted], axis=1)
                scores = np.take_along_axis(scores, kept, axis=1)
                rows = np.take_along_axis(rows, kept, axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")
        return np.take_along_axis(rows, order, axis=1)

    def nearest_cells(self, first: Floats) -> Ints:
        """All cells, the nearest first, for each query of the scan: (q, C)."""
        assert self.cells is not None
        near = first @ self.cells.centroids.astype(np.float64).T + self.cells.bias
        order: Ints = np.argsort(-near, axis=1, kind="stable")
        return order

    def _in_cells(self, first: Floats, wanted: int) -> Ints:
        cells = self.cells
        assert cells is not None
        found = np.full((len(first), wanted), -1, np.int64)
        for number, probed in enumerate(self.nearest_cells(first)[:, : self.probes]):
            members = cells.members[probed].ravel()
            # The cells are gathered and widened, so here the query keeps its digits.
            scores = cells.codes[probed].reshape(len(members), -1) @ first[number].astype("f4")
            scores[members < 0] = -np.inf
            order = np.argsort(-scores, kind="stable")[:wanted]
            found[number, : len(order)] = members[order]
        return found
