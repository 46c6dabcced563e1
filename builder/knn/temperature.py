"""The temperature T of a soft vote, softmax(score / T), found by maximum likelihood."""

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

# The prior: over 14 sets of photographs and three backbones the best T is about 0.4 n^-0.35, within
# a factor of e^0.4: the more references, the smaller the neighbourhood that each represents.
_WHITENED = (0.4, -0.35)
_PLAIN = (1.33, -0.3)  # in standard deviations of the scores, whose scale is the backbone's
_USUAL_SPREAD, _MORE_PAIRS = 0.17, 10  # relative to the mean distance; 0.08 to 0.4 on those sets
_MIN_SPREAD = 1e-3
_SPREAD = 0.4
_FLOOR = 1e-6  # the probability of a class that is not among the neighbours
_SAMPLE = 1000  # references sampled for the spread of scores


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """References as queries, and their neighbours outside their fold.

    Attributes:
        scores: (q, k) of each query's neighbours.
        own: (q, k) whether a neighbour is of the query's class.
        left: (q,) share of the query's class that is in the training part.
        votes: (q, k) factor by which the vote of each neighbour is multiplied.
        counts: (q,) weight of each query; the mean is 1.
    """

    scores: Floats
    own: NDArray[np.bool_]
    left: Floats
    votes: Floats
    counts: Floats

    @classmethod
    def of(cls, space: Space, k: int, *, balanced: bool = True) -> HeldOut:
        """The k nearest of each query, or fewer if there are fewer.

        Args:
            space: references with labels, and with folds.
            k: how many neighbours vote.
            balanced: weight classes equally, both as answers and as queries.
        """
        queries, found = space.others
        ids = space.references.label_ids
        sizes, near = np.bincount(ids), ids[found.indices[:, :k]]
        wanted, votes, left = ids[queries], np.ones(near.shape), np.ones(len(queries))
        for fold in space.folds:
            train = np.bincount(ids[fold.train], minlength=len(sizes))
            places = np.searchsorted(queries, fold.test)
            left[places] = (train / np.maximum(sizes, 1))[wanted[places]]
            if balanced:
                votes[places] = 1 / train[near[places]]  # never zero: a neighbour is in train
        counts = 1 / np.bincount(wanted)[wanted] if balanced else np.ones(len(wanted))
        return cls(
            scores=found.scores[:, :k],
            own=near == wanted[:, None],
            left=left,
            votes=votes,
            counts=counts / counts.mean(),
        )

    def some(self, which: NDArray[np.bool_]) -> HeldOut:
        """The queries selected by a mask (q,)."""
        counts = self.counts[which]
        return HeldOut(
            scores=self.scores[which],
            own=self.own[which],
            left=self.left[which],
            votes=self.votes[which],
            counts=counts / counts.mean(),
        )

    @property
    def handicap(self) -> float:
        """Divide the best T for these queries by this to get the best T for new photos.

        For held-out queries, fewer photos of their class are among the references than for new
        photos, and the projection was learned from fewer. In measurements, T falls with the square
        root of the share in the training part: by a factor of 1.4 with two photos per class, and of
        1.1 if a fifth is held out.
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

    If no class has two pictures, nothing can be held out, and the usual T is returned.

    Args:
        space: references with labels, and with a `refit`.
        k: how many neighbours vote.
        balanced: as for `HeldOut.of`.
    """
    likely = usual(space)
    if not space.folds:
        return likely
    return most_likely(HeldOut.of(space, k, balanced=balanced), likely)


def most_likely(held_out: HeldOut, usual: float) -> float:
    """The T that maximises the posterior of the true classes of held-out queries.

    That is the sum of `log_shares` and a log-normal prior around the usual T. The prior matters if
    queries are few or all answers are right: the likelihood alone would then drive T to zero, and
    the first wrong answer would have full confidence.

    Args:
        held_out: references as queries; the result is corrected by their `handicap`.
        usual: the prior's median.
    """
    from scipy.optimize import minimize_scalar

    middle, handicap = float(np.log(usual)), float(np.log(held_out.handicap))

    def loss(log_t: float) -> float:
        prior = ((log_t - middle) / _SPREAD) ** 2 / 2
        shares = held_out.log_shares(float(np.exp(log_t + handicap)))
        return prior - float(held_out.counts @ shares)

    steps = middle + np.linspace(-4, 3, 15)  # there may be more than one minimum
    best = int(np.argmin([loss(float(step)) for step in steps]))
    bounds = (float(steps[max(best - 1, 0)]), float(steps[min(best + 1, len(steps) - 1)]))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def usual(space: Space) -> float:
    """The prior's median of T, from the number of references and the spread of scores."""
    refs = space.references
    if METRICS[space.metric].ANGULAR and space.scores_of == "classes":
        factor, power = _WHITENED
        return float(factor * len(refs) ** power)
    rows = slice(None, None, -(-len(refs) // _SAMPLE))
    sample, ids = space.rows[rows], refs.label_ids[rows]
    apart = exact.scores(sample, sample, space.metric)[ids[:, None] != ids]
    if not len(apart):
        return 1.0
    # Few pairs estimate the spread badly: add the usual spread with the weight of some more pairs.
    usual = _USUAL_SPREAD * abs(METRICS[space.metric].ITSELF - float(apart.mean()))
    pairs = len(apart) / 2
    spread = np.sqrt((pairs * apart.var() + _MORE_PAIRS * usual**2) / (pairs + _MORE_PAIRS))
    factor, power = _PLAIN
    return float(factor * max(spread, _MIN_SPREAD) * len(refs) ** power)
