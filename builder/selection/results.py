"""The results of cross-validation, and which combination to choose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.choices.votes import VOTES
from pocketknn.builder.knn.validation import promise
from pocketknn.builder.spec import CROPS, Spec, resolve_k

from .grid import VECTOR

Values = NDArray[np.bool_] | NDArray[np.float64]
_CLEARLY = 2  # standard errors; a larger difference is more than chance


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One combination of the grid, and its results.

    Attributes:
        spec: with the combination's k, metric, vote, projection and crop, ready to build.
        width: number of compared values: d, or the projection's size (its mean over the folds).
        by_fold: accuracy on each fold, or root mean squared error.
        by_example: for each fold, whether each example was answered right, or its squared error.
    """

    spec: Spec
    width: int
    by_fold: tuple[float, ...]
    by_example: tuple[Values, ...] = field(compare=False, repr=False)

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return float(np.mean(self.by_fold))

    @property
    def error(self) -> float:
        """Standard error of the mean, as if the folds were independent (they share references)."""
        return float(np.std(self.by_fold, ddof=1) / np.sqrt(len(self.by_fold)))

    @property
    def cost(self) -> tuple[int, ...]:
        """Sort key, lowest for the simplest: by metric, then projection, vote and crop."""
        return (
            tuple(METRICS).index(self.spec.metric),
            {"classes": 0, "none": 1}.get(self.spec.projection, 1 + self.width),
            tuple(VOTES).index(str(self.spec.vote)),
            int(not self.usually_balanced),
            CROPS.index(self.spec.crop),
        )

    @property
    def usually_balanced(self) -> bool:
        """Whether `balanced` is the default for this vote."""
        return bool(self.spec.balanced) is VOTES[str(self.spec.vote)].SOFT

    def without_fold(self, fold: int) -> Trial:
        """The trial without one of its folds."""
        return replace(self, by_fold=self.by_fold[:fold] + self.by_fold[fold + 1 :])


def ranked(trials: Iterable[Trial], regress: bool) -> tuple[Trial, ...]:
    """Sorted by mean, the best first; ties by simplicity."""
    sign = 1 if regress else -1
    return tuple(
        sorted(trials, key=lambda one: (round(sign * one.mean, 12), one.cost, one.spec.k or 0))
    )


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The result of a cross-validation.

    Attributes:
        trials: all combinations, the best mean first; ties by simplicity.
        targets: how many targets were predicted; 0 for classes.
        examples: how many references were used.
        copies: how many were dropped as copies.
        notes: messages about skipped combinations.
        together: the group of each example, fold by fold: its occasion, or its picture.
            Empty for targets.
    """

    trials: tuple[Trial, ...]
    targets: int
    examples: int
    copies: int
    notes: tuple[str, ...]
    together: tuple[Ints, ...] = field(default=(), compare=False, repr=False)

    @property
    def regress(self) -> bool:
        """Whether the results are errors, so that lower is better."""
        return self.targets > 0

    @property
    def best(self) -> Trial:
        """The trial with the best mean."""
        return self.trials[0]

    @property
    def bound(self) -> float:
        """The best mean minus its standard error or, if lower is better, plus it."""
        return self.best.mean + (self.best.error if self.regress else -self.best.error)

    @property
    def near(self) -> tuple[Trial, ...]:
        """The trials whose mean is within one standard error of the best."""
        sign = 1 if self.regress else -1
        # Rounded, as the last bit of a mean depends on the order.
        return tuple(one for one in self.trials if round(sign * (one.mean - self.bound), 12) <= 0)

    @property
    def winner(self) -> Trial:
        """The simplest trial whose mean is within one standard error of the best.

        This is the one-standard-error rule (Breiman, Friedman, Olshen and Stone, Classification and
        Regression Trees, 1984, section 3.4.3). Among a hundred combinations the first is partly
        lucky: a more complex choice has to gain more than the noise of the folds.

        The simplest is the cheapest in the graph. The metric comes first: cosine is one product,
        Euclidean a product and a second scoring of its candidates, the others differences from all
        references. Next is the projection: `classes`, which has the fewest values, then none, then
        the smallest other one. Then the soft vote, as its shares are probabilities; then the crop
        `center`, which neither distorts nor adds bars. k has no cost and no clear order: a small k
        looks simpler, but in statistics a large k is the simpler, smoother model. So among the
        trials that remain, the k with the best mean wins, and among equals the smallest, as with
        `k="auto"`.
        """
        return min(self.near, key=lambda one: one.cost)  # among equals the first, the best mean

    @cached_property
    def default(self) -> Trial | None:
        """The trial of a build's defaults; None if they were not tried."""
        head = HEADS["regress" if self.regress else "classify"]
        k = resolve_k(None, self.examples, head.VOTE)
        if not self.regress:
            ks = [int(one.spec.k or 1) for one in self.trials]
            k = max((tried for tried in ks if tried <= k), default=0)
        projection = "none" if self.regress else "classes"
        wanted = (k, "cosine", head.VOTE, projection)
        for one in self.trials:
            spec = one.spec
            cropped = spec.backbone == VECTOR or spec.crop == "center"
            choices = (spec.k, spec.metric, spec.vote, spec.compared)
            if one.usually_balanced and cropped and choices == wanted:
                return one
        return None

    @cached_property
    def clearly_better(self) -> bool:
        """Whether the winner beats the default by more than chance."""
        if self.default is None or self.default is self.winner:
            return False
        gain, error = self.gain(self.default)
        return gain > _CLEARLY * error

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy to expect from the chosen trial."""
        if not self.together:
            return promise.interval(self.expected, self.examples)
        trials = self.chosen_by_others
        if self.chosen is self.default:
            trials = (self.chosen,) * len(self.together)
        right = np.concatenate([one.by_example[i] for i, one in enumerate(trials)]).astype(float)
        ends = promise.interval(self.expected, len(right))
        return promise.of_groups(ends, self.expected, right, np.concatenate(self.together))

    @property
    def expected(self) -> float:
        """Mean of the chosen trial, corrected for selection bias, unless it is the default."""
        return self.chosen.mean if self.chosen is self.default else self.unflattered

    @property
    def chosen(self) -> Trial:
        """The trial to build: the default if it was tried and the winner is not clearly better."""
        if self.default is None or self.clearly_better:
            return self.winner
        return self.default

    @cached_property
    def chosen_by_others(self) -> tuple[Trial, ...]:
        """For each fold, the winner on the other folds.

        With two folds, each has the overall winner, as one fold alone gives no standard error.
        """
        folds = len(self.best.by_fold)
        if folds < 3:
            return (self.winner,) * folds
        whole = {one.spec: one for one in self.trials}
        found = []
        for fold in range(folds):
            others = ranked((one.without_fold(fold) for one in self.trials), self.regress)
            found.append(whole[replace(self, trials=others).winner.spec])
        return tuple(found)

    @property
    def unflattered(self) -> float:
        """The winner's mean without selection bias, chosen and measured on different folds."""
        return float(np.mean([one.by_fold[i] for i, one in enumerate(self.chosen_by_others)]))

    def gain(self, other: Trial) -> tuple[float, float]:
        """How much choosing by the other folds gains over another trial.

        Returns:
            The mean gain per example, in right answers or in squared error, and its standard error.
            The trials are compared example by example; the standard error is clustered
            by group.
        """
        sign = -1.0 if self.regress else 1.0
        pairs = [
            (one.by_example[i].astype(float), other.by_example[i])
            for i, one in enumerate(self.chosen_by_others)
        ]
        more = sign * np.concatenate([mine - its for mine, its in pairs])
        groups = np.concatenate(self.together) if self.together else np.arange(len(more))
        return float(more.mean()), promise.clustered_error(more, groups)
