"""How well scores separate pairs in one class from other pairs, and known from unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.metric_space import Space
from pocketknn.builder.knn.validation.rejection import without_class

_FEWEST = 50  # queries
_MOST_SCORES = 5e7  # computed by matrix products: a few seconds
_MOST_DIFFERENCES = 1e9  # values, for metrics without a matrix product: about a second
_MOST_OF_PAIRS, _MOST_LEFT_OUT = 500, 1000  # queries
_MOST_PAIRS = 1e7  # scores: 80 MB, and several copies for their quantiles
_BINS, _STEPS = 40, 200  # of a histogram, and of thresholds


def affordable(space: Space, stored: int, most_scores: float = _MOST_SCORES) -> int:
    """How many queries can be compared with this many references in reasonable time."""
    if METRICS[space.metric].BY_PRODUCT:
        return max(_FEWEST, int(most_scores / stored))
    differences = stored * space.rows.shape[1]
    return max(_FEWEST, int(min(most_scores / stored, _MOST_DIFFERENCES / differences)))


class ScorePairs(NamedTuple):
    """Scores of pairs of references.

    Attributes:
        same: scores of pairs in one class.
        different: scores of pairs in different classes.
    """

    same: Floats
    different: Floats

    def histograms(self) -> tuple[Floats, Floats, Floats]:
        """Midpoints of the bins, and the share of each kind of pair in each bin."""
        ends = np.quantile(np.concatenate(self), (0.001, 0.999))
        edges = np.linspace(ends[0], ends[1], _BINS + 1)
        same, different = (
            np.histogram(np.clip(scores, *ends), edges)[0] / len(scores) for scores in self
        )
        return (edges[:-1] + edges[1:]) / 2, same, different


def score_pairs(fit: Fit) -> ScorePairs | None:
    """Score the pairs; None if there are none in one class, or none in different ones.

    Each reference is a query in a space learned without it. If there are very many references, up
    to 500 are sampled.
    """
    space, ids = fit.space, fit.references.label_ids
    queries = space.others.queries
    most = min(_MOST_OF_PAIRS, affordable(space, len(ids), _MOST_PAIRS))
    if len(queries) > most:
        draw = np.random.default_rng(space.seed).choice(queries, most, replace=False)
        queries = np.sort(draw)
    scores = space.scores_of_others(queries)
    same, valid = ids[queries][:, None] == ids, np.isfinite(scores)
    found = ScorePairs(scores[same & valid], scores[~same & valid])
    return found if all(map(len, found)) else None


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorCurves:
    """Scores of the nearest reference, for known and for unknown pictures.

    Attributes:
        known: (q,) scores of references with their nearest neighbour, sorted.
        left_out: (p,) scores of references with the nearest reference of another class, as if their
            own class were held out, sorted; empty with a single class.
        strangers: (s,) scores of pictures that show no class, sorted; empty if none were given.
    """

    known: Floats
    left_out: Floats
    strangers: Floats

    def rejected(self, thresholds: Floats) -> Floats:
        """Share of known pictures below each threshold: false rejections."""
        return below(self.known, thresholds)

    @property
    def thresholds(self) -> Floats:
        """Evenly spaced thresholds, from rejecting nothing to rejecting everything."""
        everything = np.concatenate([self.known, self.left_out, self.strangers])
        return np.linspace(everything.min(), everything.max(), _STEPS)


def below(ordered: Floats, thresholds: Floats) -> Floats:
    """Share of ordered scores (q,) that lie below each threshold."""
    return np.searchsorted(ordered, thresholds, side="left") / len(ordered)


def error_curves(fit: Fit, strangers: NDArray[np.floating] | None = None) -> ErrorCurves | None:
    """The scores that a threshold must separate; None without classes or other references.

    Strangers are embeddings (s, d) of pictures that show none of the classes.
    """
    refs, space = fit.references, fit.space
    if not fit.head.CLASSES or len(refs) < 2:
        return None
    left_out = scores = np.empty(0)
    if len(np.unique(refs.label_ids)) > 1:
        left_out = without_class(space, min(_MOST_LEFT_OUT, affordable(space, len(refs))))
    if strangers is not None:
        scores = np.sort(space.search(strangers, 1).scores[:, 0])
    known = np.sort(space.others.found.scores[:, 0])
    return ErrorCurves(known=known, left_out=left_out, strangers=scores)
