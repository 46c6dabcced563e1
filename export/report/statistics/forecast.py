"""The gain from twice as many photos, from the learning curve and a prior on its slope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.knn.metric_space import Space

if TYPE_CHECKING:
    from .curves import LearningCurve
    from .shares import Share

# With n photos per class, the share of mistakes falls as n to the power of minus 0.32, with a
# standard deviation of 0.26: measured from n to 2n photos of flowers, insects and Caltech 101, with
# two backbones and 2 to 40 photos per class.
_USUAL, _SPREAD = 0.32, 0.26
_UNTOLD = 0.5  # a probability that tells nothing
_WORTH, _LIKELY = 0.02, 0.8  # minimum gain worth doubling the photos, and its minimum probability


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The gain in accuracy from twice as many photos of each class.

    Attributes:
        gain: the gain as a share of the pictures, 0.05 for 5 points.
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
        """Whether the gain is likely not worth the photos."""
        return self.worth <= 1 - _LIKELY


def forecast(curve: LearningCurve, right: Share, left: float, room: float = 1.0) -> Forecast | None:
    """The gain by a power law of the mistakes (Cortes and others, NIPS 1993), fitted with a prior.

    The logarithm of the mistakes is linear in that of the size; each point is weighted by its
    queries. The prior pulls the slope towards the usual one, more so with fewer queries, so the
    interval is wide if little is known.

    Args:
        curve: accuracy by the number of examples per class.
        right: how many held-out references were answered correctly.
        left: share of a class's photos that remained as references while others were held out.
        room: the reported share of mistakes, which no gain can exceed; if none were reported, there
            may still be rare ones.

    Returns:
        None if the curve shows errors of predicted numbers.
    """
    if curve.regress:
        return None
    # With one photo per class nothing is whitened, so that point is on another line.
    use = np.flatnonzero((curve.sizes > 1) & (curve.sizes < curve.sizes[-1]))
    sizes = np.append(curve.sizes[use].astype(float), curve.largest * left)
    queries = np.append(np.full(len(use), curve.queries), right.of).astype(float)
    # Add half a mistake: otherwise none out of a few would mean none out of any number.
    wrong = np.append((1 - curve.mean[use]) * queries[:-1], right.of - right.count)
    share = (wrong + 0.5) / (queries + 1)
    # All points use the same queries: together they are no more certain than one of them.
    weights = queries * share / (1 - share) / len(share)
    x, y = np.log(curve.largest / sizes), np.log(share)  # x is 0 for the present size
    level, slope, deviations = _line(x, y, weights)
    draws = np.random.default_rng(0).standard_normal((4000, 2)) @ deviations.T
    # On average more photos do not make more mistakes.
    gains = np.exp(level + draws[:, 0]) * (1 - 2 ** -np.maximum(slope + draws[:, 1], 0))
    gains = np.minimum(gains, room or 1.0)
    low, high = np.quantile(gains, (0.025, 0.975))
    worth = float((gains >= _WORTH).mean())
    if right.count == right.of:  # no mistake shows that there are any to avoid
        worth = min(worth, _UNTOLD)
    return Forecast(gain=float(np.median(gains)), low=float(low), high=float(high), worth=worth)


def others_left(space: Space) -> float:
    """Mean share of a class's photos that remain references when others are held out."""
    ids, queries = space.references.label_ids, space.others.queries
    sizes = np.bincount(ids)
    left = (sizes[ids[queries]] - 1) / sizes[ids[queries]]
    for fold in space.folds:
        available = np.bincount(ids[fold.train], minlength=len(sizes)) / np.maximum(sizes, 1)
        left[np.searchsorted(queries, fold.test)] = available[ids[fold.test]]
    return float(left.mean())


def _line(x: Floats, y: Floats, weights: Floats) -> tuple[float, float, Floats]:
    """Intercept and slope by least squares with the prior, and a root of their covariance."""
    rows = np.stack([np.ones(len(x)), x], axis=1)
    precision = (rows * weights[:, None]).T @ rows + np.diag([0.0, _SPREAD**-2])
    wanted = (rows * weights[:, None]).T @ y + np.array([0.0, _USUAL * _SPREAD**-2])
    level, slope = np.linalg.solve(precision, wanted).tolist()
    return level, slope, np.linalg.cholesky(np.linalg.inv(precision))
