"""How good are the references? Each is asked for by all the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import neighbors
from .references import References
from .spec import Spec, resolve_k

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


def leave_one_out(spec: Spec, references: References) -> LeaveOneOut | None:
    """Measure it for a spec's k and vote; None where there are no labels or a single reference."""
    n = len(references)
    if not references.labels or n < 2:
        return None
    queries = np.arange(n)
    if n > _MOST_QUERIES:
        queries = np.sort(np.random.default_rng(spec.seed).choice(n, _MOST_QUERIES, replace=False))
    k = min(resolve_k(spec.k, n), n - 1)
    found = neighbors.leave_one_out(references.vectors, k, queries)
    votes = neighbors.vote(
        found,
        references.label_ids,
        len(references.labels),
        by=spec.vote,
        balanced=spec.balanced,
    )
    right = neighbors.winners(votes) == references.label_ids[queries]
    return LeaveOneOut(accuracy=float(right.mean()), k=k, queries=len(queries))
