"""The parts of an index over some references, made when they are first wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.choices.protocols import Making
from pocketknn.builder.choices.searches.index import LARGEST, Codes, Index, encode, scale
from pocketknn.builder.choices.searches.ivf import cells_of

if TYPE_CHECKING:
    from pocketknn.builder.knn.metric_space import Space

    from .recall import LeftOut


RECALL = 0.99  # what a search must find, where nobody says more or less
_WIDTHS = (64, 128, 256)  # components that a scan may compare
_LOST = 0.001  # of the neighbours: what a scan may lose even where bytes have lost too many
_LEARNED = 20_000  # references that principal components are taken from


class _Spread(NamedTuple):
    """The mean, the least and the largest value of each column (r,)."""

    mean: Floats
    least: Floats
    largest: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Maker(Making):
    """The same, with what it is all found from.

    Attributes:
        space: the references, under an angular metric.
        recall: what must be found of the exact neighbours; None where nobody says.
        seed: of what is drawn.
        draw: what indexes are measured by; None where there is one reference only.
    """

    space: Space
    recall: float | None
    seed: int
    draw: Callable[[], LeftOut | None]
    ranked: dict[int, Ints] = field(default_factory=dict)  # by a scan's width: what `places` found

    @property
    def limit(self) -> float:
        """The recall below which nothing is built; 0 where numbers that decide it are given."""
        given = self.candidates is not None or self.probes is not None
        return 0.0 if given and self.recall is None else self.aim

    @property
    def aim(self) -> float:
        """The recall that numbers which are not given are chosen for."""
        return RECALL if self.recall is None else float(self.recall)

    @cached_property
    def spread(self) -> _Spread:
        """Where the values of each column of the unit vectors lie."""
        total = np.zeros(self.width)
        least, largest = np.full_like(total, np.inf), np.full_like(total, -np.inf)
        for _, rows in self.space.unit_blocks():
            total += rows.sum(axis=0)
            least = np.minimum(least, rows.min(axis=0))
            largest = np.maximum(largest, rows.max(axis=0))
        return _Spread(total / self.n, least, largest)

    @cached_property
    def stored(self) -> Index:
        precision, shape = self.precision, (self.n, self.width)
        if precision == "float32":
            return Index(precision=precision, table=self.space.matrix)
        codes = None
        table: NDArray[Any] = np.empty(shape, np.float16)
        if precision == "int8":
            table = np.empty(shape, np.int8)
            codes = Codes(table, *scale(self.spread.least, self.spread.largest))
        made = Index(precision=precision, table=table, codes=codes)
        error = 0.0
        for block, rows in self.space.unit_blocks():
            table[block] = rows if codes is None else encode(rows, codes.steps, codes.middle)
            off = made.rows(block) - rows
            error = max(error, float(np.sqrt((off**2).sum(axis=1)).max()))
        return replace(made, error=error)

    @cached_property
    def left_out(self) -> LeftOut | None:
        """What indexes are measured by; None where there is one reference only."""
        return self.draw()

    @cached_property
    def components(self) -> Floats:
        """Principal components of the unit vectors, the largest first: (r, …)."""
        draw = np.random.default_rng(self.seed)
        some = np.sort(draw.choice(self.n, min(self.n, _LEARNED), replace=False))
        rows = self.space.units_of(some) - self.spread.mean
        if len(rows) < rows.shape[1]:
            vectors = np.linalg.svd(rows, full_matrices=False)[2][::-1].T
        else:  # the covariance is cheaper
            vectors = np.linalg.eigh(rows.T @ rows)[1]
        # The sign of a component means nothing; a rule for it makes builds the same everywhere.
        vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        found: Floats = vectors[:, ::-1]
        return found

    @cached_property
    def projected(self) -> NDArray[np.float32]:
        """All references by the most components that a scan may compare, their mean at zero."""
        kernel = self.components[:, : self.widths()[-1]]
        found = np.empty((self.n, kernel.shape[1]), np.float32)
        for block, rows in self.space.unit_blocks():
            found[block] = (rows - self.spread.mean) @ kernel
        return found

    def scanned(self, width: int) -> Index:
        rows = self.projected[:, :width]
        # One step for all components: a query multiplies what little there is in the last ones.
        step = float(np.abs(rows).max(initial=0)) / LARGEST or 1.0
        rotation = (self.components[:, :width] / step).astype(np.float32)
        scan = np.rint(rows / np.float32(step)).astype(np.int8)
        return replace(self.stored, rotation=rotation, scan=scan)

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Which of the sought neighbours the stored precision does not lose: (q, k)."""
        if self.left_out is None or self.precision == "float32":
            return np.ones((1, 1), np.bool_)
        return self.left_out.kept(self.stored)

    @property
    def most_kept(self) -> float:
        return float(self.kept.mean())

    @property
    def share(self) -> float:
        # Those who are asked now are not those who will be asked.
        return min(1 - (1 - self.aim) * 2 / 3, self.most_kept - _LOST)

    def places(self, one: Index) -> Ints:
        if self.left_out is None:
            return np.zeros((1, 1), np.int64)
        if one.width not in self.ranked:  # cells ask again for the scan that they hold
            self.ranked[one.width] = np.where(self.kept, self.left_out.places(one), self.n)
        return self.ranked[one.width]

    def cells_before(self, one: Index) -> Ints | None:
        return None if self.left_out is None else self.left_out.cells(one)

    def in_cells(self, one: Index, count: int) -> Index:
        assert one.scan is not None
        assert one.rotation is not None
        offset = self.spread.mean @ one.rotation
        cells = cells_of(one.scan, offset, count, self.seed)
        return replace(one, scan=None, cells=cells)

    def widths(self) -> list[int]:
        r = self.components.shape[1]
        return [width for width in _WIDTHS if width < r] + [r] * (r <= _WIDTHS[-1])
