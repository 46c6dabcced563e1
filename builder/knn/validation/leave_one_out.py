"""How good are the references? Each is asked for by all the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.choices.neighbors import Floats, shared
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.fit import Fit, answers
from pocketknn.builder.knn.temperature import temperature
from pocketknn.builder.spec import Spec

from .occasions import fewer_mistakes

if TYPE_CHECKING:
    from pocketknn.builder.knn.metric_space import Space

MOST_K = 50  # as far as k is searched for


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut:
    """How well each reference is answered by its k nearest others.

    Attributes:
        accuracy: share of the queries whose label won, before any rejection; None for regression.
            Where occasions were left out, what those of all occasions will do.
        rmse: root of the mean squared error of each target, by name; None where there are none.
        k: how many neighbours were asked.
        queries: how many references were asked for; a seeded draw where there are very many.
        folds: in how many parts they were left out; 0 where each was left out alone.
    """

    accuracy: float | None
    rmse: dict[str, float] | None
    k: int
    queries: int
    folds: int = 0


@dataclass(frozen=True, kw_only=True)
class Unprojected:
    """A projection held against the embeddings it was made from, by leave-one-out.

    Attributes:
        accuracy: without the projection; None where there are no labels.
        first_equal: share of the references with the same nearest other one.
        recall: share of the k nearest without the projection that are so with it.
    """

    accuracy: float | None
    first_equal: float
    recall: float


def leave_one_out(fit: Fit) -> LeaveOneOut | None:
    """Measure it for a fit's k and vote.

    None without labels and targets, and where nothing is left that could answer: there is one
    reference, or one picture of each class.
    """
    refs, n = fit.references, len(fit.references)
    if n < 2 or not (refs.labels or refs.target_names):
        return None
    if not fit.head.NUMBERS and not _has_two_pictures(fit.space):
        return None
    k = min(fit.k, fit.space.most)
    errors = _errors(fit.spec, fit.space, k)
    regress = fit.head.NUMBERS
    errors = errors if regress else errors * _fewer(fit.space)
    named = dict(zip(refs.target_names, np.sqrt(errors).tolist(), strict=regress))
    return LeaveOneOut(
        accuracy=None if regress else float(1 - errors[0]),
        rmse=named if regress else None,
        k=k,
        queries=min(n, len(fit.space.others.queries)),
        folds=len(fit.space.folds),
    )


def _has_two_pictures(space: Space) -> bool:
    """Whether a class has two references, or with a `refit` two different pictures."""
    ids = space.references.label_ids
    pictures = np.arange(len(ids)) if space.refit is None else space.pictures
    pairs = np.unique(np.stack([ids, pictures]), axis=1)
    return bool(np.bincount(pairs[0]).max() > 1)


def best_k(spec: Spec, space: Space) -> int:
    """The k up to 50 with the least leave-one-out error; the smallest of equals.

    Raises:
        InputError: there is one reference only.
    """
    if len(space.references) < 2:
        raise InputError("k = auto asks each reference for its neighbours, and there is only one")
    numbers = HEADS[str(spec.head)].NUMBERS
    scale = np.maximum(space.references.targets.var(axis=0), 1e-30) if numbers else 1.0
    wrong = (errors_by_k(spec, space) / scale).mean(axis=1)
    return int(np.argmin(np.round(wrong, 12))) + 1


def errors_by_k(spec: Spec, space: Space) -> Floats:
    """Leave-one-out with one neighbour, with two, and so on up to `MOST_K`: (K, T) or (K, 1).

    For regression the mean squared error of each target, else the share of wrong labels.
    """
    return np.stack([_errors(spec, space, k) for k in range(1, min(MOST_K, space.most) + 1)])


def answers_of_others(spec: Spec, space: Space, k: int) -> Floats:
    """What the k nearest others answer for each of `space.others.queries`, as `answers`."""
    return answers(spec, space, space.others.found.first(k))


def unprojected(fit: Fit) -> Unprojected | None:
    """What the projection costs; None where there is none, or a single reference."""
    if fit.space.projection is None or len(fit.references) < 2:
        return None
    plain = fit.space.unprojected
    k = min(fit.k, plain.most)
    before, after = (space.others.found.indices[:, :k] for space in (plain, fit.space))
    spec, labelled = fit.spec, fit.references.labels and not fit.head.NUMBERS
    if spec.soft:  # its own temperature, as its scores lie closer together
        spec = replace(spec, temperature=temperature(plain, fit.k, balanced=bool(spec.balanced)))
    return Unprojected(
        accuracy=float(1 - _fewer(plain) * _errors(spec, plain, k)[0]) if labelled else None,
        first_equal=float((before[:, 0] == after[:, 0]).mean()),
        recall=float(shared(before, after).mean()),
    )


def _fewer(space: Space) -> float:
    """Which share of the mistakes of a part of the occasions all of them make; 1 without any."""
    refs = space.references
    if not any(refs.occasions):
        return 1.0
    return fewer_mistakes(refs.label_ids, space.together, len(space.folds))


def _errors(spec: Spec, space: Space, k: int) -> Floats:
    """Mean squared error of each target, or the share of wrong labels, of leave-one-out."""
    said, queries = answers_of_others(spec, space, k), space.others.queries
    return HEADS[str(spec.head)].errors(said, space.references, queries)
