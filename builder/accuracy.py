"""How good are the references? Each is asked for by all the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import neighbors
from .references import References

_MOST_QUERIES = 5000  # bounds the time to 5,000 × N scores


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut:
    """Accuracy of the vote of each reference's k nearest others.

    Attributes:
        accuracy: share of the queries whose label won.
        k: how many neighbours voted.
        queries: how many references were asked for; a seeded draw where there are very many.
    """

    accuracy: float
    k: int
    queries: int


def leave_one_out(references: References, k: int, seed: int = 0) -> LeaveOneOut | None:
    """Measure it; None where there are no labels or a single reference."""
    n = len(references)
    if not references.labels or n < 2:
        return None
    queries = np.arange(n)
    if n > _MOST_QUERIES:
        queries = np.sort(np.random.default_rng(seed).choice(n, _MOST_QUERIES, replace=False))
    k = min(k, n - 1)
    found = neighbors.leave_one_out(references.vectors, k, queries)
    votes = neighbors.vote(found.indices, references.label_ids, len(references.labels))
    right = neighbors.winners(votes) == references.label_ids[queries]
    return LeaveOneOut(accuracy=float(right.mean()), k=k, queries=len(queries))
