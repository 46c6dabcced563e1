"""The recall of an index, measured with held-out references as queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.choices.searches import find
from pocketknn.builder.choices.searches.index import Index, quantised

if TYPE_CHECKING:
    from pocketknn.builder.knn.metric_space import Space

_MOST = 1000  # queries
_ROUNDING = 1e-9  # of scores in float64
_AT_ONCE = 1 << 14  # references scored at once


@dataclass(frozen=True, kw_only=True, eq=False)
class LeftOut:
    """Held-out queries drawn from the references: each is left out of its own search.

    Attributes:
        space: all references.
        units: (q, r) the queries, of length 1.
        own: (q,) their rows.
        nearest: (q, k) the rows of their exact nearest others.
        lowest: (q,) the score of the last of these.
    """

    space: Space
    units: Floats
    own: Ints
    nearest: Ints
    lowest: Floats

    @classmethod
    def of(cls, space: Space, k: int, seed: int) -> LeftOut | None:
        """A seeded draw of the references; None if there is only one.

        Args:
            space: the references.
            k: how many neighbours are wanted; fewer are used if fewer are known for each reference.
            seed: random seed.
        """
        if len(space.references) < 2:
            return None
        # No refit: this measures the file's search in its own space, not accuracy.
        queries, found = replace(space, refit=None).others
        some = np.sort(np.random.default_rng(seed).permutation(len(queries))[:_MOST])
        k = min(k, found.indices.shape[1])
        return cls(
            space=space,
            units=space.units_of(queries[some]),
            own=queries[some],
            nearest=found.indices[some, :k],
            lowest=found.scores[some, k - 1],
        )

    def recall(self, one: Index) -> float:
        """Share of the exact neighbours that an index finds."""
        found = find(one, self.units, self.nearest.shape[1], self.own).indices
        # Compare scores, not rows: a copy of a neighbour is as good as the neighbour.
        right = [
            self.space.units_of(near) @ query >= lowest - _ROUNDING
            for near, query, lowest in zip(found, self.units, self.lowest, strict=True)
        ]
        return float(np.mean(right))

    def kept(self, stored: Index) -> NDArray[np.bool_]:
        """Which exact neighbours are still among the k nearest as an index stores them: (q, k)."""
        last = find(stored, self.units, self.nearest.shape[1], self.own).scores[:, -1:]
        pairs = zip(self.nearest, self.units, strict=True)
        scores = np.stack([stored.rows(near) @ query for near, query in pairs])
        return scores >= last - _ROUNDING

    def places(self, one: Index) -> Ints:
        """How many references an index's scan ranks before each exact neighbour: (q, k)."""
        assert one.scan is not None
        queries = quantised(one.turned(self.units)).astype(np.float32)
        limits = np.einsum("qkw,qw->qk", one.scan[self.nearest].astype(np.float32), queries)
        places = np.zeros(limits.shape, np.int64)
        for start in range(0, len(one.scan), _AT_ONCE):
            scores = queries @ one.scan[start : start + _AT_ONCE].astype(np.float32).T
            inside = (self.own >= start) & (self.own < start + scores.shape[1])
            scores[inside, self.own[inside] - start] = -np.inf
            for at in range(limits.shape[1]):
                places[:, at] += (scores > limits[:, at : at + 1]).sum(axis=1)
        return places
