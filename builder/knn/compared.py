"""The references under a metric and a projection, ready to be compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.metrics.cosine import has_length, kept_unit
from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors
from pocketknn.builder.choices.protocols import Constants, Metric
from pocketknn.builder.knn.projection.pca import Projection
from pocketknn.builder.references.references import References

from . import exact

_BLOCK = 4096  # rows that are computed at once
_KEPT = 1 << 28  # bytes of scores that are kept for the next file


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """References, and how their distance to an embedding is measured.

    Attributes:
        references: the stored examples (n, d).
        metric: one of `METRICS`.
        projection: from embeddings (d) to the compared values (r); None for no projection, where r
            is d.
    """

    references: References
    metric: str
    projection: Projection | None

    @property
    def _metric(self) -> Metric:
        return METRICS[self.metric]

    def project(self, embeddings: NDArray[np.floating]) -> Floats:
        """Embeddings (q, d) under the projection: (q, r) float64."""
        if self.projection is None:
            return np.asarray(embeddings, np.float64)
        return self.projection(embeddings)

    @property
    def scores_of(self) -> str:
        """What scores compare: `embedding` (all of it), `pca` or `classes`."""
        return "embedding" if self.projection is None else self.projection.by

    @property
    def width(self) -> int:
        """How many values r of each reference are compared."""
        return self.references.dim if self.projection is None else len(self.projection.bias)

    @cached_property
    def rows(self) -> NDArray[np.floating]:
        """The references under the projection: (n, r), float64 if there is one."""
        vectors = self.references.vectors
        return vectors if self.projection is None else self.project(vectors)

    @cached_property
    def middle(self) -> NDArray[np.float32]:
        """Mean of the rows (r,); a graph may subtract it, as distances do not change."""
        mean: NDArray[np.float32] = self.rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    @cached_property
    def matrix(self) -> NDArray[np.float32]:
        """The rows in float32 (n, r): unit vectors for an angular metric; zero rows stay zero."""
        single = self.references.vectors
        if self.projection is not None or (self._metric.ANGULAR and not self._are_units):
            single = np.empty((len(self.references), self.width), np.float32)
            for block, rows in self._rows_in_blocks():
                single[block] = kept_unit(rows) if self._metric.ANGULAR else rows
        return single

    @cached_property
    def constants(self) -> Constants:
        """The tensors of an exact search's graph that depend on the references, by name."""
        return self._metric.constants(self)

    def unit_blocks(self) -> Iterator[tuple[slice, Floats]]:
        """The rows as unit vectors, a block at a time; zero rows stay zero."""
        for block, rows in self._rows_in_blocks():
            yield block, kept_unit(rows)

    def units_of(self, rows: Ints) -> Floats:
        """Some references under the projection, at unit length: (m, r)."""
        return exact.unit(self.project(self.references.vectors[rows]))

    def _rows_in_blocks(self) -> Iterator[tuple[slice, Floats]]:
        """The rows in float64; without a projection, all at once would take twice the memory."""
        for block in self._blocks:
            yield block, np.asarray(self.rows[block], np.float64)

    @property
    def _blocks(self) -> list[slice]:
        starts = range(0, len(self.references), _BLOCK)
        return [slice(start, start + _BLOCK) for start in starts]

    @property
    def _are_units(self) -> bool:
        vectors = self.references.vectors
        return all(has_length(vectors[block]).all() for block in self._blocks)

    def scores(self, embeddings: NDArray[np.floating]) -> Floats:
        """Exact score of each reference for each embedding (q, d): (q, n), read-only.

        Each file of a build is compared with the scores for the same embeddings, so these are kept.
        """
        given = self.project(embeddings)
        asked = sha256(given.tobytes()).digest()
        if (known := self._known.get(asked)) is not None:
            return known
        found = exact.scores(given, self.rows, self.metric)
        found.flags.writeable = False
        if sum(one.nbytes for one in (found, *self._known.values())) > _KEPT:
            self._known.clear()
        if found.nbytes <= _KEPT:
            self._known[asked] = found
        return found

    @cached_property
    def _known(self) -> dict[bytes, Floats]:
        """The scores of batches of embeddings, by the hash of the batch."""
        return {}

    def search(self, embeddings: NDArray[np.floating], k: int) -> Neighbors:
        """The exact k nearest of each embedding (q, d)."""
        return exact.search(self.project(embeddings), self.rows, k, self.metric)

    def exact_hit(self, precision: str) -> float:
        """The distance up to which a neighbour counts as the query itself, allowing for rounding.

        For angles it is absolute; for other distances, a share of the median embedding length.
        """
        share = self._metric.EXACT_HIT[precision]
        if self._metric.ANGULAR:
            return share
        hit = share * np.median(self.lengths(self.rows))
        return float(np.float32(max(hit, 1e-30)))

    def lengths(self, rows: NDArray[np.floating]) -> Floats:
        """Distance of each row (q, r) from zero; 1 for angular metrics, which ignore length."""
        if self._metric.ANGULAR:
            return np.ones(len(rows))
        return -exact.scores(rows, np.zeros((1, rows.shape[1])), self.metric)[:, 0]
