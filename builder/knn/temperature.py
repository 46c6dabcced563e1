"""How sharp a soft vote is: the temperature T in softmax(score / T), found by likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.neighbors import Floats

from . import exact

if TYPE_CHECKING:
    from .metric_space import Space

# Before any photo is asked: the best T over 14 sets of photographs and three backbones lies around
# 0.4 n^-0.35, by a factor of e^0.4 up and down: more references stand denser, so that each stands
# for less around it.
_WHITENED = (0.4, -0.35)
_PLAIN = (1.33, -0.3)  # in standard deviations of the scores, whose scale is the backbone's
_USUAL_SPREAD, _MORE_PAIRS = 0.17, 10  # of the mean distance: 0.08 to 0.4 on those sets
_LEAST_SPREAD = 1e-3
_SPREAD = 0.4
_FLOOR = 1e-6  # the probability of a class that is not among the neighbours
_SAMPLE = 1000  # references whose cosines stand for those of all


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """References as queries of those outside their fold.

    Attributes:
        scores: (q, k) of each query's neighbours.
        own: (q, k) whether a neighbour is of the query's class.
        left: (q,) share of the photos of the query's class that were there to answer.
        votes: (q, k) what the vote of each neighbour is multiplied by.
        counts: (q,) how much each query counts; 1 on the mean.
    """

    scores: Floats
    own: NDArray[np.bool_]
    left: Floats
    votes: Floats
    counts: Floats

    @classmethod
    def of(cls, space: Space, k: int, *, balanced: bool = True) -> Asked:
        """The k nearest of each query, or fewer where it has fewer.

        Args:
            space: references with labels, and with folds.
            k: how many neighbours vote.
            balanced: classes count the same, both as answers and as queries, whatever their size.
        """
        queries, found = space.others
        ids = space.references.label_ids
        sizes, near = np.bincount(ids), ids[found.indices[:, :k]]
        wanted, votes, left = ids[queries], np.ones(near.shape), np.ones(len(queries))
        for fold in space.folds:
            there = np.bincount(ids[fold.train], minlength=len(sizes))
            places = np.searchsorted(queries, fold.test)
            left[places] = (there / np.maximum(sizes, 1))[wanted[places]]
            if balanced:
                votes[places] = 1 / there[near[places]]  # a neighbour is one of its class
        counts = 1 / np.bincount(wanted)[wanted] if balanced else np.ones(len(wanted))
        return cls(
            scores=found.scores[:, :k],
            own=near == wanted[:, None],
            left=left,
            votes=votes,
            counts=counts / counts.mean(),
        )

    def some(self, which: NDArray[np.bool_]) -> Asked:
        """Some of the queries (q,)."""
        counts = self.counts[which]
        return Asked(
            scores=self.scores[which],
            own=self.own[which],
            left=self.left[which],
            votes=self.votes[which],
            counts=counts / counts.mean(),
        )

    @property
    def handicap(self) -> float:
        """What the best T for these queries is divided by to get the best T for new photos.

        They were answered by fewer photos of their class than new photos are, under a projection
        that knew fewer. Measured, T falls with the square root of the share that was there: by 1.4
        at two photos per class, and by 1.1 where a fifth is left out.
        """
        return float(np.exp(-(self.counts * np.log(self.left)).mean() / 2))

    def log_shares(self, temperature: float) -> Floats:
        """Logarithm of the share of the vote that each query's own class gets: (q,)."""
        nearest = self.scores.max(axis=1, keepdims=True)
        weights = self.votes * np.exp((self.scores - nearest) / temperature)
        shares = (weights * self.own).sum(axis=1) / weights.sum(axis=1)
        found: Floats = np.log(shares + _FLOOR)
        return found


def temperature(space: Space, k: int, *, balanced: bool = True) -> float:
    """The temperature of a vote of k neighbours, in units of the score, found out of fold.

    Where no class has two pictures nothing can be left out, and the usual T is all there is.

    Args:
        space: references with labels, and with a `refit`.
        k: how many neighbours vote.
        balanced: as for `Asked.of`.
    """
    likely = usual(space)
    if not space.folds:
        return likely
    return most_likely(Asked.of(space, k, balanced=balanced), likely)


def most_likely(asked: Asked, usual: float) -> float:
    """The T under which photos that were left out get their own class with the most certainty.

    It maximises the sum of `log_shares` and a log-normal prior around the usual T. The latter
    decides where queries are few, or all answered right: the likelihood would then take T to zero,
    and the first wrong answer would be a certain one.

    Args:
        asked: references as queries; their `handicap` is allowed for.
        usual: T before any photo was asked.
    """
    from scipy.optimize import minimize_scalar

    middle, handicap = float(np.log(usual)), float(np.log(asked.handicap))

    def loss(log_t: float) -> float:
        prior = ((log_t - middle) / _SPREAD) ** 2 / 2
        return prior - float(asked.counts @ asked.log_shares(float(np.exp(log_t + handicap))))

    steps = middle + np.linspace(-4, 3, 15)  # there may be more than one minimum
    best = int(np.argmin([loss(float(step)) for step in steps]))
    bounds = (float(steps[max(best - 1, 0)]), float(steps[min(best + 1, len(steps) - 1)]))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def usual(space: Space) -> float:
    """T before any photo was asked: by how many references there are, and how scores spread."""
    refs = space.references
    if METRICS[space.metric].ANGULAR and space.scores_of == "classes":
        factor, power = _WHITENED
        return float(factor * len(refs) ** power)
    rows = slice(None, None, -(-len(refs) // _SAMPLE))
    sample, ids = space.rows[rows], refs.label_ids[rows]
    apart = exact.scores(sample, sample, space.metric)[ids[:, None] != ids]
    if not len(apart):
        return 1.0
    # Of few pairs the spread is known badly; what it usually is counts as some more of them.
    usual = _USUAL_SPREAD * abs(METRICS[space.metric].ITSELF - float(apart.mean()))
    pairs = len(apart) / 2
    spread = np.sqrt((pairs * apart.var() + _MORE_PAIRS * usual**2) / (pairs + _MORE_PAIRS))
    factor, power = _PLAIN
    return float(factor * max(spread, _LEAST_SPREAD) * len(refs) ** power)
