"""Range of outputs a correct file may give, allowing for rounding.

A runtime's scores are within the tolerances of `check`. References whose exact scores are closer
than a tie may swap, so the inputs chosen are ones where a swap does not change the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors
from pocketknn.builder.choices.searches import find
from pocketknn.builder.knn.exact import rank, unit

from .check import TOLERANCES, Tolerance, scale_of

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit

_MOST_ALLOWED = 100  # maximum number of references listed for a rank
_ROUNDING = 1e-6  # votes are compared to six decimals


@dataclass(frozen=True, kw_only=True, eq=False)
class Exact:
    """The exact answer to an input.

    Attributes:
        fit: the references and choices.
        scores: (n,) scores of all references.
        best: the k nearest, as a single row.
        scale: the unit of score errors.
        missed: how far the scores found by the file's search, run in numpy, are below the exact
            ones.
    """

    fit: Fit
    scores: Floats
    best: Neighbors
    scale: float
    missed: float


def search(fit: Fit, embeddings: NDArray[np.floating]) -> list[Exact]:
    """The exact answer to each embedding (q, d)."""
    scores = fit.space.scores(embeddings)
    best = rank(scores, fit.k)
    scales = scale_of(fit.space, embeddings, best.indices).max(axis=1)
    missed = np.zeros(len(scores))
    if fit.index is not None and fit.approximate:
        units = unit(fit.space.project(embeddings))
        own = find(fit.index, units, fit.k).indices
        missed = (best.scores - np.take_along_axis(scores, own, axis=1)).max(axis=1)
    return [
        Exact(
            fit=fit,
            scores=scores[row],
            best=Neighbors(best.scores[[row]], best.indices[[row]]),
            scale=float(scales[row]),
            missed=float(missed[row]),
        )
        for row in range(len(scores))
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class Expected:
    """The answers that a correct file of a precision may give.

    Attributes:
        exact: the exact answer.
        precision: one of `check.TOLERANCES`.
    """

    exact: Exact
    precision: str

    @property
    def tolerance(self) -> Tolerance:
        """The tolerance of the precision."""
        return TOLERANCES[self.precision]

    @property
    def promised(self) -> bool:
        """Whether exact neighbours are promised: not for int8, nor for an approximate search."""
        return self.tolerance.lists > 0 and not self.exact.fit.approximate

    @cached_property
    def error(self) -> float:
        """Maximum error of a score.

        If the search is approximate, scores may also be lower: by as much as in numpy, plus as much
        as if k more neighbours were missed, since runtimes quantise queries with their own step
        sizes.
        """
        fit, tolerance = self.exact.fit, self.tolerance
        allowed = tolerance.score if fit.metric.ANGULAR else tolerance.distance
        error = self.exact.scale * allowed + fit.stored_error
        if fit.approximate:
            ranked = np.sort(self.exact.scores)[::-1]
            later = ranked[np.minimum(np.arange(fit.k) + fit.k, len(ranked) - 1)]
            error += self.exact.missed + float((ranked[: fit.k] - later).max())
        return error

    @cached_property
    def tie(self) -> float:
        """The difference of scores below which references may swap."""
        return self.exact.scale * self.tolerance.tie + 2 * self.exact.fit.stored_error

    @cached_property
    def near(self) -> Ints:
        """The references that may be among the k nearest."""
        last = self.exact.best.scores[0, -1] - self.tie
        scores = self.exact.scores
        return np.flatnonzero(scores > last) if self.promised else np.arange(len(scores))

    @cached_property
    def settled(self) -> bool:
        """Whether ties and the threshold affect only the order of the neighbours.

        References that may swap at the edge of the k nearest make no difference to a vote if they
        all have the same label.
        """
        exact, fit = self.exact, self.exact.fit
        limit, best = fit.threshold, exact.best.indices[0]
        if not self.promised or (
            limit is not None and abs(exact.best.scores[0, 0] - limit) <= self.error
        ):
            return False
        outside = self._outside
        if not len(outside):
            return True
        edge = best[exact.scores[best] < exact.scores[outside].max() + self.tie]
        labels = fit.references.label_ids
        return bool(fit.labels) and len(np.unique(labels[np.append(outside, edge)])) == 1

    @property
    def clear(self) -> bool:
        """Whether the answer is unambiguous."""
        return self.settled and (not self.exact.fit.labels or len(self._votes[2]) == 1)

    def as_json(self) -> dict[str, Any]:
        """The exact answer, with the maximum error of each part."""
        fit, best = self.exact.fit, self.exact.best
        n, missing = len(fit.references), fit.listed - fit.k
        answer: dict[str, Any] = {
            "scores": best.scores[0].tolist() + [float(np.float32(-growth.NOBODY))] * missing,
            "score_error": self.error,
            "indices": best.indices[0].tolist() + list(range(n, n + missing)),
            "allowed": [self._allowed(score) for score in best.scores[0]] + [[]] * missing,
        }
        if fit.labels:
            votes, error, labels = self._votes
            answer["probabilities"] = votes.tolist()
            answer["probability_error"] = error + self.tolerance.vote
            answer["labels"] = labels
        if fit.head.NUMBERS:
            values, errors = self._values
            rounding = self.tolerance.vote * np.abs(fit.references.targets).max()
            answer["value"] = values.tolist()
            answer["value_error"] = (errors + rounding).tolist()
        return answer

    @cached_property
    def _outside(self) -> Ints:
        """The references that are not among the k nearest but might be."""
        return np.setdiff1d(self.near, self.exact.best.indices)

    def _allowed(self, score: float) -> list[int]:
        """The references that may have the rank of this score; an empty list allows any."""
        if not self.promised:
            return []
        found = np.flatnonzero(np.abs(self.exact.scores - score) < self.tie)
        return found.tolist() if len(found) <= _MOST_ALLOWED else []

    @cached_property
    def _votes(self) -> tuple[Floats, float, list[str]]:
        """The exact votes, their maximum error, and the labels that may win."""
        fit, best = self.exact.fit, self.exact.best
        votes = fit.answers(best, self.precision)[0]
        unknown = [] if fit.threshold is None else [len(fit.labels) - 1]
        if not self.settled:
            may = sorted({*fit.references.label_ids[self.near].tolist(), *unknown})
            return votes, 1.0, [fit.labels[number] for number in may]
        own = fit.references.label_ids[best.indices[0]]
        error, labels = 0.0, []
        for number in [*np.unique(own).tolist(), *unknown]:
            high = fit.answers(self._moved(own == number), self.precision)[0]
            low = fit.answers(self._moved(own != number), self.precision)[0]
            error = max(error, high[number] - votes[number], votes[number] - low[number])
            if high[number] + _ROUNDING >= high.max():
                labels.append(fit.labels[number])
        return votes, float(error), labels

    @cached_property
    def _values(self) -> tuple[Floats, Floats]:
        """The exact values, and the maximum error of each."""
        fit, best = self.exact.fit, self.exact.best
        values, targets = fit.answers(best, self.precision)[0], fit.references.targets
        if not self.settled:
            may = targets[self.near].astype(np.float64)
            return values, np.maximum(values - may.min(axis=0), may.max(axis=0) - values)
        own = targets[best.indices[0]]
        errors = np.zeros(len(values))
        for column, target in enumerate(own.T):
            for cut in np.unique(target):  # the mean is extreme when all above a cut weigh most
                for side in (target >= cut, target < cut):
                    moved = fit.answers(self._moved(side), self.precision)[0]
                    errors[column] = max(errors[column], abs(moved[column] - values[column]))
        return values, errors

    def _moved(self, nearer: Sequence[bool] | NDArray[np.bool_]) -> Neighbors:
        """The neighbours, some moved nearer and others away, as far as rounding and ties allow."""
        best, reach = self.exact.best, self.error + (self.tie if len(self._outside) else 0)
        return Neighbors(best.scores + np.where(nearer, reach, -reach), best.indices)
