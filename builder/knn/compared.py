"""What is compared: the references under a metric and a projection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """References, and how their distance to an embedding is measured.

    Attributes:
        references: the stored examples (n, d).
        metric: one of `METRICS`.
        projection: from embeddings (d) to what is compared (r), or None: r is d.
    """

    references: References
    metric: str
    projection: Projection | None

    @property
    def _metric(self) -> Metric:
        return METRICS[self.metric]

    def project(self, embeddings: NDArray[np.floating]) -> Floats:
        """What of embeddings (q, d) is compared: (q, r) float64."""
        if self.projection is None:
            return np.asarray(embeddings, np.float64)
        return self.projection(embeddings)

    @property
    def scores_of(self) -> str:
        """What of the embeddings scores compare: `embedding`, `pca` or `classes`."""
        return "embedding" if self.projection is None else self.projection.by

    @property
    def width(self) -> int:
        """How many values r of each reference are compared."""
        return self.references.dim if self.projection is None else len(self.projection.bias)

    @cached_property
    def rows(self) -> NDArray[np.floating]:
        """What of the references is compared: (n, r), in float64 where it was projected."""
        vectors = self.references.vectors
        return vectors if self.projection is None else self.project(vectors)

    @cached_property
    def middle(self) -> NDArray[np.float32]:
        """Mean of the rows (r,), which graphs may subtract: distances do not see it."""
        mean: NDArray[np.float32] = self.rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    @cached_property
    def matrix(self) -> NDArray[np.float32]:
        """The rows in float32 (n, r): unit vectors for an angular metric; one of zeros stays so."""
        single = self.references.vectors
        if self.projection is not None or (self._metric.ANGULAR and not self._are_units):
            single = np.empty((len(self.references), self.width), np.float32)
            for block in self._blocks:  # all in float64 would take twice the room of the result
                rows = self.project(self.references.vectors[block])
                single[block] = kept_unit(rows) if self._metric.ANGULAR else rows
        return single

    @cached_property
    def constants(self) -> Constants:
        """What the graph of an exact search holds of the references, by name."""
        return self._metric.constants(self)

    def unit_blocks(self) -> Iterator[tuple[slice, Floats]]:
        """What an angular metric compares, some rows at a time: unit vectors, zeros stay zeros."""
        for block in self._blocks:
            yield block, kept_unit(self.project(self.references.vectors[block]))

    def units_of(self, rows: Ints) -> Floats:
        """What is compared of some references (m, r), at unit length."""
        return exact.unit(self.project(self.references.vectors[rows]))

    @property
    def _blocks(self) -> list[slice]:
        starts = range(0, len(self.references), _BLOCK)
        return [slice(start, start + _BLOCK) for start in starts]

    @property
    def _are_units(self) -> bool:
        vectors = self.references.vectors
        return all(has_length(vectors[block]).all() for block in self._blocks)

    def scores(self, embeddings: NDArray[np.floating]) -> Floats:
        """Exact score of each reference for each embedding (q, d): (q, n)."""
        return exact.scores(self.project(embeddings), self.rows, self.metric)

    def search(self, embeddings: NDArray[np.floating], k: int) -> Neighbors:
        """The exact k nearest of each embedding (q, d)."""
        return exact.search(self.project(embeddings), self.rows, k, self.metric)

    def exact_hit(self, precision: str) -> float:
        """The distance up to which a neighbour is the query itself, whatever the rounding.

        Angles have a scale of their own. Other distances err by a share of the embeddings' lengths.
        """
        share = self._metric.EXACT_HIT[precision]
        if self._metric.ANGULAR:
            return share
        hit = share * np.median(self.lengths(self.rows))
        return float(np.float32(max(hit, 1e-30)))

    def lengths(self, rows: NDArray[np.floating]) -> Floats:
        """Distance of each row (q, r) from zero; 1 for angles, which have no scale."""
        if self._metric.ANGULAR:
            return np.ones(len(rows))
        return -exact.scores(rows, np.zeros((1, rows.shape[1])), self.metric)[:, 0]
