"""What a right file may answer to an input: the exact answer, and all that rounding can make of it.

A runtime's scores err within the tolerances of `parity`. Here it is worked out what that leaves
open: which references may stand in a rank, and how far a vote or a mean may move.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.heads.classify import class_weights
from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors
from pocketknn.builder.choices.searches import find
from pocketknn.builder.choices.votes import VOTES, uniform
from pocketknn.builder.choices.votes.soft import sharpness
from pocketknn.builder.knn import exact as neighbors

from . import check
from .check import TOLERANCES, Tolerance

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit

_MOST_TIED = 100  # references beyond k that an answer may name instead
_ROUNDING = 1e-6  # labels win by votes that are compared to six decimals
_FOREVER = 1e30  # the weight of an exact hit, which outvotes all others


@dataclass(frozen=True, kw_only=True, eq=False)
class Exact:
    """The exact neighbours of an input, and of those just beyond them.

    Attributes:
        fit: the references, and what is done with them.
        scores: (k + some,), descending.
        indices: of the same references.
        scale: what errors of the scores are shares of.
        missed: how much lower the scores are of what the file's search finds in numpy.
        void: whether nothing of the input is compared, so that all cosines are 0 without rounding.
    """

    fit: Fit
    scores: Floats
    indices: Ints
    scale: float
    missed: float
    void: bool

    @property
    def best(self) -> Neighbors:
        """The k nearest, as the only row."""
        k = self.fit.k
        return Neighbors(self.scores[None, :k], self.indices[None, :k])


def search(fit: Fit, embeddings: NDArray[np.floating]) -> list[Exact]:
    """The exact neighbours of each embedding (q, d)."""
    m = min(fit.k + _MOST_TIED, len(fit.references))
    scores_of_all = fit.space.scores(embeddings)
    found = neighbors.rank(scores_of_all, m)
    scales = check.scale_of(fit.space, embeddings, found.indices).max(axis=1)
    void = [fit.metric.ANGULAR and not row.any() for row in fit.space.project(embeddings)]
    missed = np.zeros(len(void))
    if fit.index is not None and fit.approximate:
        units = neighbors.unit(fit.space.project(embeddings))
        own = find(fit.index, units, fit.k).indices
        reached = np.take_along_axis(scores_of_all, own, axis=1)
        missed = (found.scores[:, : fit.k] - reached).max(axis=1)
    return [
        Exact(
            fit=fit,
            scores=scores,
            indices=indices,
            scale=float(scale),
            missed=float(lower),
            void=one,
        )
        for scores, indices, scale, lower, one in zip(*found, scales, missed, void, strict=True)
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class Leeway:
    """What a right file of a precision may answer.

    Attributes:
        exact: the neighbours.
        precision: one of `parity.TOLERANCES`.
    """

    exact: Exact
    precision: str

    @property
    def tolerance(self) -> Tolerance:
        """Of the precision."""
        return TOLERANCES[self.precision]

    @cached_property
    def error(self) -> float:
        """How far a score may be off."""
        fit = self.exact.fit
        allowed = self.tolerance.score if fit.metric.ANGULAR else self.tolerance.distance
        return self.exact.scale * allowed + fit.stored_error + self._missed

    @property
    def _missed(self) -> float:
        """How much lower scores may be for what a search misses.

        As much as in numpy, and as much again as k more missed neighbours would make: runtimes
        round queries for bytes in their own steps.
        """
        exact, k = self.exact, self.exact.fit.k
        if not exact.fit.approximate:
            return 0.0
        later = exact.scores[np.minimum(np.arange(k) + k, len(exact.scores) - 1)]
        return exact.missed + float((exact.scores[:k] - later).max())

    @cached_property
    def tie(self) -> float:
        """References whose scores differ by less may change places."""
        if self.exact.void:
            return 0.0
        return self.exact.scale * self.tolerance.tie + 2 * self.exact.fit.stored_error

    @property
    def promised(self) -> bool:
        """Whether the neighbours are promised: not by int8, nor by a search that may miss some."""
        return self.tolerance.lists > 0 and not self.exact.fit.approximate

    @property
    def clear(self) -> bool:
        """Whether ties and the threshold leave nothing open."""
        limit = self.exact.fit.threshold
        known = limit is None or abs(self.exact.scores[0] - limit) > self.error
        return known and bool(self._near.sure.all())

    def as_json(self) -> dict[str, Any]:
        """The exact answer, with how far each part of it may be off."""
        exact, fit = self.exact, self.exact.fit
        said: dict[str, Any] = {
            "scores": exact.best.scores[0].tolist(),
            "score_error": self.error,
            "indices": exact.best.indices[0].tolist(),
            "allowed": self.allowed(),
        }
        if fit.labels:
            votes = fit.answers(exact.best, self.precision)[0]
            low, high = self.shares()
            error = float(np.maximum(votes - low, high - votes).max())
            winners = np.flatnonzero((high > 0) & (high + _ROUNDING >= low.max()))
            said["probabilities"] = votes.tolist()
            said["probability_error"] = error + self.tolerance.vote
            said["labels"] = [fit.labels[number] for number in winners]
        if fit.head.NUMBERS:
            values = fit.answers(exact.best, self.precision)[0]
            low, high = self.values()
            rounding = self.tolerance.vote * np.abs(fit.references.targets).max()
            said["value"] = values.tolist()
            said["value_error"] = (np.maximum(values - low, high - values) + rounding).tolist()
        return said

    def allowed(self) -> list[list[int]]:
        """The references that may stand in each rank; an empty list allows any."""
        near, k = self._near, self.exact.fit.k
        if not self.promised:
            return [[] for _ in range(k)]
        found = []
        for rank in range(k):
            may = np.abs(near.scores - near.scores[rank]) < self.tie
            may[rank] = True
            found.append([int(index) for index in near.indices[may]])
        return found

    def shares(self) -> tuple[Floats, Floats]:
        """The least and the largest share that each label may have."""
        fit, limit = self.exact.fit, self.exact.fit.threshold
        low, high = np.zeros(len(fit.labels)), np.zeros(len(fit.labels))
        if not self.promised:
            return low, high + 1
        own = fit.references.label_ids[self._near.indices]
        for label in np.unique(own):
            low[label], high[label] = self._means((own == label).astype(float))
        if limit is not None and self.exact.scores[0] < limit + self.error:  # it may be unknown
            low[:-1], high[-1] = 0, 1
            if self.exact.scores[0] < limit - self.error:  # it is
                high[:-1], low[-1] = 0, 1
        return low, high

    def values(self) -> tuple[Floats, Floats]:
        """The least and the largest value that each target may have."""
        targets = self.exact.fit.references.targets.astype(np.float64)
        if not self.promised:
            return targets.min(axis=0), targets.max(axis=0)
        ranges = [self._means(column) for column in targets[self._near.indices].T]
        return np.array([low for low, _ in ranges]), np.array([high for _, high in ranges])

    @cached_property
    def _near(self) -> _Near:
        exact, k = self.exact, self.exact.fit.k
        chosen = exact.scores > exact.scores[k - 1] - self.tie
        chosen[:k] = True
        # Ranks above a gap are filled by the references above it: these cannot be missing.
        gaps = -np.diff(exact.scores[: k + 1], append=-np.inf)[:k] >= self.tie
        above = int(np.flatnonzero(gaps).max(initial=-1))
        return _Near(
            scores=exact.scores[chosen], indices=exact.indices[chosen], sure=np.arange(k) <= above
        )

    def _means(self, values: Floats) -> tuple[float, float]:
        low, high = self._weights()
        given = (low, high, self._near.sure)
        return -_largest_mean(-values, *given), _largest_mean(values, *given)

    def _weights(self) -> tuple[Floats, Floats]:
        """The least and the largest weight of each near reference in the vote."""
        fit, scores = self.exact.fit, self._near.scores
        low, high = np.ones(len(scores)), np.ones(len(scores))
        if VOTES[str(fit.spec.vote)] is not uniform:
            hit = fit.exact_hit(self.precision)
            distances = fit.metric.ITSELF - scores
            least = distances - self.error
            if fit.spec.soft:
                sharp = sharpness(fit.temperature)
                low, high = (
                    np.exp((scores - scores.max() + error) * sharp)
                    for error in (-self.error, self.error)
                )
            else:
                low = 1 / np.maximum(distances + self.error, hit)
                high = 1 / np.maximum(least, hit)
            high = np.where(least <= hit, _FOREVER, high)
        if fit.spec.balanced and fit.labels:
            ids, classes = fit.references.label_ids, len(fit.references.labels)
            own = class_weights(ids, classes)[ids[self._near.indices]]
            low, high = low * own, high * own
        return low, high


@dataclass(frozen=True, kw_only=True, eq=False)
class _Near:
    """The k nearest and those that may take their places; `sure` (k,) which cannot be taken."""

    scores: Floats
    indices: Ints
    sure: NDArray[np.bool_]


def _largest_mean(values: Floats, low: Floats, high: Floats, sure: NDArray[np.bool_]) -> float:
    """The largest mean of k values, the `sure` of the first k among them, weighted low to high.

    A mean m can be reached where the k largest gains over it, weight × (value - m), sum to 0.
    """
    k = len(sure)
    free = np.append(~sure, np.ones(len(values) - k, bool))
    least, most = float(values.min()), float(values.max())
    for _ in range(60):
        middle = (least + most) / 2
        gains = np.where(values > middle, high, low) * (values - middle)
        others = np.sort(gains[free])[::-1][: int((~sure).sum())]
        if gains[~free].sum() + others.sum() >= 0:
            least = middle
        else:
            most = middle
    return most
