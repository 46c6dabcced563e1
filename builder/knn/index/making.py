"""The parts of an index over some references, computed on first use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.choices.searches.index import LARGEST, Codes, Index, encode, scale

from .recall import LeftOut

if TYPE_CHECKING:
    from pocketknn.builder.knn.metric_space import Space
    from pocketknn.builder.spec import Spec

RECALL = 0.99  # minimum recall by default
_WIDTHS = (64, 128, 256)  # components that a scan may compare
_LOST = 0.001  # share of the neighbours that a scan may lose even if int8 has already lost too many
_LEARNED = 20_000  # references used to find principal components


class _Spread(NamedTuple):
    """The mean, minimum and maximum of each column (r,)."""

    mean: Floats
    smallest: Floats
    largest: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Maker:
    """The references, and how well indexes rank them.

    Attributes:
        spec: with `references_precision`, `recall`, `candidates` and `seed`.
        space: the references, under an angular metric.
        k: how many neighbours are wanted.
    """

    spec: Spec
    space: Space
    k: int

    @property
    def n(self) -> int:
        """How many references there are."""
        return len(self.space.references)

    @property
    def width(self) -> int:
        """The number r of values per reference."""
        return self.space.width

    @property
    def limit(self) -> float:
        """The minimum recall of a build; 0 if the user set candidates but no recall."""
        given = self.spec.candidates is not None
        return 0.0 if given and self.spec.recall is None else self.aim

    @property
    def aim(self) -> float:
        """The target recall for choosing candidates."""
        return RECALL if self.spec.recall is None else float(self.spec.recall)

    @cached_property
    def spread(self) -> _Spread:
        """The range of each column of the unit vectors."""
        total = np.zeros(self.width)
        smallest, largest = np.full_like(total, np.inf), np.full_like(total, -np.inf)
        for _, rows in self.space.unit_blocks():
            total += rows.sum(axis=0)
            smallest = np.minimum(smallest, rows.min(axis=0))
            largest = np.maximum(largest, rows.max(axis=0))
        return _Spread(total / self.n, smallest, largest)

    @cached_property
    def stored(self) -> Index:
        """An index that compares all references, at the precision in which they are stored."""
        precision, shape = self.spec.references_precision, (self.n, self.width)
        if precision == "float32":
            return Index(precision=precision, table=self.space.matrix)
        codes = None
        table: NDArray[Any] = np.empty(shape, np.float16)
        if precision == "int8":
            table = np.empty(shape, np.int8)
            codes = Codes(table, *scale(self.spread.smallest, self.spread.largest))
        made = Index(precision=precision, table=table, codes=codes)
        error = 0.0
        for block, rows in self.space.unit_blocks():
            table[block] = rows if codes is None else encode(rows, codes.steps, codes.middle)
            off = made.rows(block) - rows
            error = max(error, float(np.sqrt((off**2).sum(axis=1)).max()))
        return replace(made, error=error)

    @cached_property
    def left_out(self) -> LeftOut | None:
        """The queries that indexes are measured with; None for a single reference."""
        return LeftOut.of(self.space, self.k, self.spec.seed)

    @cached_property
    def components(self) -> Floats:
        """Principal components of the unit vectors as columns, the largest first: (r, …)."""
        draw = np.random.default_rng(self.spec.seed)
        some = np.sort(draw.choice(self.n, min(self.n, _LEARNED), replace=False))
        rows = self.space.units_of(some) - self.spread.mean
        if len(rows) < rows.shape[1]:
            vectors = np.linalg.svd(rows, full_matrices=False)[2][::-1].T
        else:  # the covariance is cheaper
            vectors = np.linalg.eigh(rows.T @ rows)[1]
        # The sign of a component is arbitrary: fix it, so that builds are reproducible.
        vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        found: Floats = vectors[:, ::-1]
        return found

    @cached_property
    def projected(self) -> NDArray[np.float32]:
        """All references, centred, projected to the most components that a scan may compare."""
        kernel = self.components[:, : self.widths()[-1]]
        found = np.empty((self.n, kernel.shape[1]), np.float32)
        for block, rows in self.space.unit_blocks():
            found[block] = (rows - self.spread.mean) @ kernel
        return found

    def scanned(self, width: int) -> Index:
        """An index with a scan over all references; its number of candidates is not set yet."""
        rows = self.projected[:, :width]
        # One step for all components, so that products stay proportional to the true ones.
        step = float(np.abs(rows).max(initial=0)) / LARGEST or 1.0
        rotation = (self.components[:, :width] / step).astype(np.float32)
        scan = np.rint(rows / np.float32(step)).astype(np.int8)
        return replace(self.stored, rotation=rotation, scan=scan)

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Which exact neighbours survive the rounding to the stored precision: (q, k)."""
        if self.left_out is None or self.spec.references_precision == "float32":
            return np.ones((1, 1), np.bool_)
        return self.left_out.kept(self.stored)

    @property
    def most_kept(self) -> float:
        """Share of the exact neighbours that survive the rounding to the stored precision."""
        return float(self.kept.mean())

    @property
    def share(self) -> float:
        """The share of the exact neighbours to aim for when choosing candidates."""
        # A margin above the target, as future queries will differ from these.
        return min(1 - (1 - self.aim) * 2 / 3, self.most_kept - _LOST)

    def places(self, one: Index) -> Ints:
        """How many references a scan ranks before each exact neighbour; n if rounding loses it."""
        if self.left_out is None:
            return np.zeros((1, 1), np.int64)
        return np.where(self.kept, self.left_out.places(one), self.n)

    def widths(self) -> list[int]:
        """The widths of the scans to try, the widest last."""
        r = self.components.shape[1]
        return [width for width in _WIDTHS if width < r] + [r] * (r <= _WIDTHS[-1])
