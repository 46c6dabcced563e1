"""What twice as many photos would bring, by the learning curve and by what it usually is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.knn.metric_space import Space

if TYPE_CHECKING:
    from .curves import LearningCurve
    from .shares import Share

# Mistakes fall with the number n of photos per class as n to the power of minus 0.32, with a
# standard deviation of 0.26: from n to 2n photos of flowers, insects and Caltech 101, with two
# backbones and 2 to 40 photos per class.
_USUAL, _SPREAD = 0.32, 0.26
UNEVEN = 2  # times the photos of the smallest class
_WORTH, _LIKELY = 0.02, 0.8  # a gain that is worth twice the photos, and how likely it must be


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """By how much accuracy would rise with twice as many photos of each class.

    Attributes:
        gain: as a share of the pictures, 0.05 for 5 points.
        low: lower end of its 95 % interval.
        high: upper end.
        worth: probability that it is two points or more.
    """

    gain: float
    low: float
    high: float
    worth: float

    @property
    def helps(self) -> bool:
        """Whether the gain is likely worth the photos."""
        return self.worth >= _LIKELY

    @property
    def little(self) -> bool:
        """Whether it likely is not."""
        return self.worth <= 1 - _LIKELY


def forecast(curve: LearningCurve, right: Share, left: float) -> Forecast | None:
    """The gain by a power law of the mistakes (Cortes and others, NIPS 1993), fitted with a prior.

    Logarithms of mistakes against those of sizes give a line; each point is as sure as so many
    queries make it. Its slope is drawn towards the usual one, the
    more so the fewer queries there were, and so the interval is wide where little is known.

    Args:
        curve: accuracy by the number of examples of each class.
        right: how many references were answered right, each left out.
        left: share of the photos of a class that were there to answer these.

    Returns:
        None where the curve is of numbers, and where classes differ much in size: the curve then
        tells of the large ones, and most of the gain is in the small ones.
    """
    if curve.regress or curve.largest >= UNEVEN * curve.smallest:
        return None
    # With one photo per class nothing is whitened, so that point lies on another line.
    use = np.flatnonzero((curve.sizes > 1) & (curve.sizes < curve.sizes[-1]))
    sizes = np.append(curve.sizes[use].astype(float), curve.largest * left)
    queries = np.append(np.full(len(use), curve.queries), right.of).astype(float)
    # Half a mistake more, as none were made of few would else be none of any number.
    wrong = np.append((1 - curve.mean[use]) * queries[:-1], right.of - right.count)
    share = (wrong + 0.5) / (queries + 1)
    # All points ask the same photos: together they are no surer than one of them.
    weights = queries * share / (1 - share) / len(share)
    x, y = np.log(curve.largest / sizes), np.log(share)  # x is 0 at what there is
    level, slope, deviations = _line(x, y, weights)
    draws = np.random.default_rng(0).standard_normal((4000, 2)) @ deviations.T
    # No fewer photos than now answer better on the mean.
    gains = np.exp(level + draws[:, 0]) * (1 - 2 ** -np.maximum(slope + draws[:, 1], 0))
    low, high = np.quantile(np.minimum(gains, 1), (0.025, 0.975))
    worth = float((gains >= _WORTH).mean())
    return Forecast(gain=float(np.median(gains)), low=float(low), high=float(high), worth=worth)


def others_left(space: Space) -> float:
    """Share of the photos of a class that answer those of its photos that are left out."""
    ids, queries = space.references.label_ids, space.others.queries
    sizes = np.bincount(ids)
    left = (sizes[ids[queries]] - 1) / sizes[ids[queries]]
    for fold in space.folds:
        there = np.bincount(ids[fold.train], minlength=len(sizes)) / np.maximum(sizes, 1)
        left[np.searchsorted(queries, fold.test)] = there[ids[fold.test]]
    return float(left.mean())


def _line(x: Floats, y: Floats, weights: Floats) -> tuple[float, float, Floats]:
    """Intercept and slope by least squares with the prior, and a root of their covariance."""
    rows = np.stack([np.ones(len(x)), x], axis=1)
    precision = (rows * weights[:, None]).T @ rows + np.diag([0.0, _SPREAD**-2])
    wanted = (rows * weights[:, None]).T @ y + np.array([0.0, _USUAL * _SPREAD**-2])
    level, slope = np.linalg.solve(precision, wanted).tolist()
    return level, slope, np.linalg.cholesky(np.linalg.inv(precision))
