"""The two errors of a threshold of unknown, for every threshold there could be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.knn.rejection import without_class

from .query_budget import affordable

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit

_MOST_QUERIES = 1000
_STEPS = 200


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorCurves:
    """Scores of the nearest reference, of what is known and of what is not.

    Attributes:
        known: (q,) of references to their nearest other one, sorted.
        left_out: (p,) of references to the nearest of another class, as if theirs had been left
            out, sorted; empty with a single class.
        strangers: (s,) of pictures of no class, sorted; empty where none were given.
    """

    known: Floats
    left_out: Floats
    strangers: Floats

    def rejected(self, thresholds: Floats) -> Floats:
        """Share of the known below each threshold: false rejections."""
        return below(self.known, thresholds)

    @property
    def thresholds(self) -> Floats:
        """Evenly spaced ones, from where nothing is rejected to where all is."""
        everything = np.concatenate([self.known, self.left_out, self.strangers])
        return np.linspace(everything.min(), everything.max(), _STEPS)


def below(ordered: Floats, thresholds: Floats) -> Floats:
    """Share of ordered scores (q,) that lie below each threshold."""
    return np.searchsorted(ordered, thresholds, side="left") / len(ordered)


def error_curves(fit: Fit, strangers: NDArray[np.floating] | None = None) -> ErrorCurves | None:
    """The scores that a threshold has to tell apart; None without classes or others to compare.

    Args:
        fit: with or without a threshold.
        strangers: embeddings (s, d) of pictures that are of no class.
    """
    refs, space = fit.references, fit.space
    if not refs.labels or fit.head.NUMBERS or len(refs) < 2:
        return None
    left_out = scores = np.empty(0)
    if len(np.unique(refs.label_ids)) > 1:
        left_out = without_class(space, min(_MOST_QUERIES, affordable(space, len(refs))))
    if strangers is not None:
        scores = np.sort(space.search(strangers, 1).scores[:, 0])
    known = np.sort(space.others.found.scores[:, 0])
    return ErrorCurves(known=known, left_out=left_out, strangers=scores)
