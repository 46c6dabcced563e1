"""Accuracy on all references when only some are kept: a point of the size curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.references.references import References

_MOST = 5000  # queries; of more references, a sample of this size


@dataclass(frozen=True, kw_only=True)
class Point:
    """A number of kept references, and the accuracy they give on all the original ones.

    Attributes:
        kept: how many references are kept.
        accuracy: share of right answers, with kept references held out when they are queries; None
            without labels.
        rmse: root mean squared error of each target, by name; None without targets.
    """

    kept: int
    accuracy: float | None
    rmse: dict[str, float] | None


def measure(fitted: Fit, references: References, rows: Ints) -> Point:
    """Measure the answers for all references from the kept ones.

    Args:
        fitted: the choices over the kept references, without rejection.
        references: the queries; if there are very many, a sample is used.
        rows: (m,) the rows of the kept ones, ascending.
    """
    n = len(references)
    queries = np.arange(n)
    if n > _MOST:
        queries = np.sort(np.random.default_rng(fitted.spec.seed).choice(n, _MOST, replace=False))
    if len(rows) == 1:  # it cannot be a query, as no other is left to answer
        queries = queries[~np.isin(queries, rows)]
    if not len(queries) or fitted.head.OUTPUT is None:
        return Point(kept=len(rows), accuracy=None, rmse=None)
    answers = _answered(fitted, references, rows, queries)
    if fitted.head.CLASSES:
        right = float((winners(answers) == references.label_ids[queries]).mean())
        return Point(kept=len(rows), accuracy=right, rmse=None)
    errors = fitted.head.errors(answers, references, queries)
    named = dict(zip(references.target_names, np.sqrt(errors).tolist(), strict=True))
    return Point(kept=len(rows), accuracy=None, rmse=named)


def _answered(fitted: Fit, references: References, rows: Ints, queries: Ints) -> Floats:
    """The answers for the queries; kept references are held out when they are queries."""
    kept = np.isin(queries, rows)
    own = np.searchsorted(rows, queries[kept])
    parts = []
    if kept.any():
        others = fitted.space.others_of_all(fitted.k)
        parts = [Neighbors(others.scores[own], others.indices[own])]
    parts += [fitted.search(references.vectors[queries[~kept]])] if (~kept).any() else []
    order = np.concatenate([np.flatnonzero(kept), np.flatnonzero(~kept)])
    answers = [fitted.answers(part) for part in parts]
    found: Floats = np.concatenate(answers)[np.argsort(order)]
    return found
