"""Leave-one-out: the accuracy of the answers for each reference from all the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Floats, shared
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.fit import Fit, answers_of_others
from pocketknn.builder.knn.temperature import temperature
from pocketknn.builder.spec import Spec

from . import promise

if TYPE_CHECKING:
    from pocketknn.builder.knn.metric_space import Space

MOST_K = 50  # the largest k tried


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut:
    """The accuracy of the answers for each reference from its k nearest others.

    Attributes:
        accuracy: share of the queries answered right, before any rejection; None for regression. If
            the training parts are much smaller than the whole, it is corrected to the accuracy
            expected with all references.
        interval: 95 % interval of the accuracy on other photos of the same kind.
        chance: accuracy of always guessing the largest class.
        by_class: the accuracy within each class, averaged over the classes.
        per_class: right answers and queries of each class, by name.
        verdict: the accuracy in a word, see `promise.verdict`; None for a single class.
        rmse: root mean squared error of each target, by name; None without targets.
        rmse_interval: its 95 % interval, by name.
        rmse_of_mean: the error of always predicting the mean of the others, by name.
        k: how many neighbours voted.
        queries: how many references were queries; a random sample if there are very many.
        folds: number of folds; 0 for leave-one-out.
        groups: how many groups of queries were held out together: near-copies, or one occasion;
            None for regression.
    """

    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    chance: float | None = None
    by_class: float | None = None
    per_class: dict[str, tuple[int, int]] | None = None
    verdict: str | None = None
    rmse: dict[str, float] | None = None
    rmse_interval: dict[str, tuple[float, float]] | None = None
    rmse_of_mean: dict[str, float] | None = None
    k: int
    queries: int
    folds: int = 0
    groups: int | None = None


@dataclass(frozen=True, kw_only=True)
class Unprojected:
    """A projection compared with the embeddings it came from, by leave-one-out.

    Attributes:
        accuracy: without the projection; None without labels, or for too few photos.
        first_equal: share of the references with the same nearest neighbour.
        recall: share of the k nearest without the projection that are also found with it.
    """

    accuracy: float | None
    first_equal: float
    recall: float


def leave_one_out(fit: Fit) -> LeaveOneOut | None:
    """Measure a fit with its k and vote.

    None without labels or targets, or if nothing can be held out: a single reference, or one
    picture per class. References of the class unknown are not queries.
    """
    refs = fit.references
    if len(refs) < 2 or not (refs.labels or refs.target_names):
        return None
    if fit.head.NUMBERS:
        return _of_numbers(fit)
    if not fit.space.has_two_pictures:
        return None
    queries, found, votes, folds, fewer = fit.out_of_fold
    if not len(queries):
        return None
    actual = refs.label_ids[queries]
    right = (winners(votes) == actual).astype(float)
    accuracy = 1 - fewer * float(1 - right.mean())
    groups, guessed = fit.space.together[queries], promise.chance(actual)
    ends = promise.interval(accuracy, len(queries))
    ends = promise.of_groups(ends, accuracy, right, groups)
    verdict = promise.verdict(accuracy, ends, guessed)
    different = len(np.unique(groups))
    if any(refs.occasions) and different < promise.FEW_OCCASIONS:
        verdict = promise.TOO_FEW_OCCASIONS
    counts = (np.bincount(actual, right).astype(int), np.bincount(actual))
    per_class = zip(refs.labels, *(column.tolist() for column in counts), strict=False)
    return LeaveOneOut(
        accuracy=accuracy,
        interval=ends,
        chance=guessed,
        by_class=1 - fewer * (1 - promise.by_class(right, actual)),
        per_class={name: (good, count) for name, good, count in per_class if count},
        verdict=verdict,
        k=found.indices.shape[1],
        queries=len(queries),
        folds=folds,
        groups=different,
    )


def _of_numbers(fit: Fit) -> LeaveOneOut:
    """Like `leave_one_out`, but for targets."""
    refs, (queries, found, values, folds, _) = fit.references, fit.out_of_fold
    truth = refs.targets.astype(np.float64)
    errors = values - truth[queries]
    n = len(truth)
    off = (truth[queries] - truth.mean(axis=0)) * n / (n - 1)  # from the mean of the others
    rmse, guessed = (np.sqrt((each**2).mean(axis=0)).tolist() for each in (errors, off))
    ends = [promise.rmse_interval(column, fit.spec.seed) for column in errors.T]
    names = refs.target_names
    return LeaveOneOut(
        rmse=dict(zip(names, rmse, strict=True)),
        rmse_interval=dict(zip(names, ends, strict=True)),
        rmse_of_mean=dict(zip(names, guessed, strict=True)),
        k=found.indices.shape[1],
        queries=len(queries),
        folds=folds,
    )


def best_k(spec: Spec, space: Space) -> int:
    """The k up to 50 with the lowest leave-one-out error; among equals, the smallest.

    Raises:
        InputError: there is only one reference.
    """
    if len(space.references) < 2:
        raise InputError(
            "k = auto uses leave-one-out, which needs at least two references",
            "too-few-references",
        )
    numbers = HEADS[str(spec.head)].NUMBERS
    scale = np.maximum(space.references.targets.var(axis=0), 1e-30) if numbers else 1.0
    wrong = (errors_by_k(spec, space) / scale).mean(axis=1)
    return int(np.argmin(np.round(wrong, 12))) + 1


def errors_by_k(spec: Spec, space: Space) -> Floats:
    """Leave-one-out with one neighbour, with two, and so on up to `MOST_K`: (K, T) or (K, 1).

    The error is the mean squared error of each target for regression, else the share of wrong
    labels.
    """
    return np.stack([_errors(spec, space, k) for k in range(1, min(MOST_K, space.most) + 1)])


def unprojected(fit: Fit) -> Unprojected | None:
    """What the projection costs; None without one, or for a single reference."""
    if fit.space.projection is None or len(fit.references) < 2:
        return None
    plain = fit.space.unprojected
    k = min(fit.k, plain.most)
    before, after = (space.others.found.indices[:, :k] for space in (plain, fit.space))
    spec, labelled = fit.spec, fit.references.labels and not fit.head.NUMBERS
    # With two or three photos per class the accuracy comes from other folds (`one_of_each`).
    labelled = labelled and fit.out_of_fold.fewer == 1
    if spec.soft:  # a temperature of its own, as unprojected scores lie closer together
        spec = replace(spec, temperature=temperature(plain, fit.k, balanced=bool(spec.balanced)))
    accuracy = None
    if labelled:
        queries = plain.others.queries
        known = ~fit.strangers[queries]
        right = winners(answers_of_others(spec, plain, k)) == plain.references.label_ids[queries]
        accuracy = float(right[known].mean()) if known.any() else None
    return Unprojected(
        accuracy=accuracy,
        first_equal=float((before[:, 0] == after[:, 0]).mean()),
        recall=float(shared(before, after).mean()),
    )


def _errors(spec: Spec, space: Space, k: int) -> Floats:
    """Leave-one-out: mean squared error of each target, or the share of wrong labels."""
    outputs, queries = answers_of_others(spec, space, k), space.others.queries
    return HEADS[str(spec.head)].errors(outputs, space.references, queries)
