"""Where scores lie: of pairs of pictures of one class, and of pairs of different classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pocketknn.builder.choices.neighbors import Floats

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit

_MOST_QUERIES = 500
_BINS = 40


class ScorePairs(NamedTuple):
    """Scores of pairs of references.

    Attributes:
        same: of pairs of one class.
        different: of pairs of different classes.
    """

    same: Floats
    different: Floats

    def histograms(self) -> tuple[Floats, Floats, Floats]:
        """Middles of bins, and the shares of the pairs of both kinds in each."""
        ends = np.quantile(np.concatenate(self), (0.001, 0.999))
        edges = np.linspace(ends[0], ends[1], _BINS + 1)
        same, different = (
            np.histogram(np.clip(scores, *ends), edges)[0] / len(scores) for scores in self
        )
        return (edges[:-1] + edges[1:]) / 2, same, different


def score_pairs(fit: Fit) -> ScorePairs | None:
    """Score the pairs; None where there are none of one class, or none of different ones.

    Each reference is a query in a space that was found without it. Of very many references 500 are
    drawn.
    """
    space, ids = fit.space, fit.references.label_ids
    queries = space.others.queries
    if len(queries) > _MOST_QUERIES:
        draw = np.random.default_rng(space.seed).choice(queries, _MOST_QUERIES, replace=False)
        queries = np.sort(draw)
    scores = space.scores_of_others(queries)
    same, there = ids[queries][:, None] == ids, np.isfinite(scores)
    found = ScorePairs(scores[same & there], scores[~same & there])
    return found if all(map(len, found)) else None
