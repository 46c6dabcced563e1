"""How well all references are answered by some of them: a point of the curve over their number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.references.references import References

_MOST = 5000  # references that the curve is measured on; of more, so many are drawn


@dataclass(frozen=True, kw_only=True)
class Point:
    """So many references, and how well all of the original ones are answered by them.

    Attributes:
        kept: how many.
        accuracy: share of right answers, those that are kept being left out when they are asked
            for; None without labels.
        rmse: root of the mean squared error of each target, by name; None without targets.
    """

    kept: int
    accuracy: float | None
    rmse: dict[str, float] | None


def measure(fitted: Fit, references: References, rows: Ints) -> Point:
    """How well all references are answered by some of them.

    Args:
        fitted: the choices over those of the references that answer, without rejection.
        references: the queries; of very many, some are drawn.
        rows: (m,) which of them answer, ascending.
    """
    n = len(references)
    queries = np.arange(n)
    if n > _MOST:
        queries = np.sort(np.random.default_rng(fitted.spec.seed).choice(n, _MOST, replace=False))
    if len(rows) == 1:  # which has no other to be asked of
        queries = queries[~np.isin(queries, rows)]
    if not len(queries) or fitted.head.OUTPUT is None:
        return Point(kept=len(rows), accuracy=None, rmse=None)
    said = _answered(fitted, references, rows, queries)
    if fitted.head.CLASSES:
        right = float((winners(said) == references.label_ids[queries]).mean())
        return Point(kept=len(rows), accuracy=right, rmse=None)
    errors = fitted.head.errors(said, references, queries)
    named = dict(zip(references.target_names, np.sqrt(errors).tolist(), strict=True))
    return Point(kept=len(rows), accuracy=None, rmse=named)


def _answered(fitted: Fit, references: References, rows: Ints, queries: Ints) -> Floats:
    """What is answered for each query; those that are kept are left out when they are asked for."""
    kept = np.isin(queries, rows)
    own = np.searchsorted(rows, queries[kept])
    parts = []
    if kept.any():
        others = fitted.space.others_of_all(fitted.k)
        parts = [Neighbors(others.scores[own], others.indices[own])]
    parts += [fitted.search(references.vectors[queries[~kept]])] if (~kept).any() else []
    order = np.concatenate([np.flatnonzero(kept), np.flatnonzero(~kept)])
    said = [fitted.answers(part) for part in parts]
    found: Floats = np.concatenate(said)[np.argsort(order)]
    return found
