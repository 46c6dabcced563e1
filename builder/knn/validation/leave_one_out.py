"""How good are the references? Each is asked for by all the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.choices.neighbors import Floats, Neighbors, shared
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.fit import Fit, voting_of
from pocketknn.builder.knn.temperature import temperature
from pocketknn.builder.spec import Spec

if TYPE_CHECKING:
    from pocketknn.builder.knn.metric_space import Space

MOST_K = 50  # as far as k is searched for


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut:
    """How well each reference is answered by its k nearest others.

    Attributes:
        accuracy: share of the queries whose label won, before any rejection; None for regression.
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
    errors = _errors(fit.spec, fit.space, fit.spec.head or "", k)
    regress = fit.head.NUMBERS
    named = dict(zip(fit.references.target_names, np.sqrt(errors).tolist(), strict=regress))
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


def best_k(spec: Spec, space: Space, head: str) -> int:
    """The k up to 50 with the least leave-one-out error; the smallest of equals.

    Raises:
        InputError: there is one reference only.
    """
    if len(space.references) < 2:
        raise InputError("k = auto asks each reference for its neighbours, and there is only one")
    targets = space.references.targets
    scale = np.maximum(targets.var(axis=0), 1e-30) if HEADS[head].NUMBERS else 1.0
    wrong = (errors_by_k(spec, space, head) / scale).mean(axis=1)
    return int(np.argmin(np.round(wrong, 12))) + 1


def errors_by_k(spec: Spec, space: Space, head: str) -> Floats:
    """Leave-one-out with one neighbour, with two, and so on up to `MOST_K`: (K, T) or (K, 1).

    For regression the mean squared error of each target, else the share of wrong labels.
    """
    most = min(MOST_K, space.most)
    return np.stack([_errors(spec, space, head, k) for k in range(1, most + 1)])


def answers_of_others(spec: Spec, space: Space, head: str, k: int) -> Floats:
    """What the k nearest others answer for each of `space.others.queries`.

    Returns:
        Values (q, T) for regression, else the votes (q, classes) before any rejection.
    """
    return answers(spec, space, head, space.others.found.first(k))


def answers(spec: Spec, space: Space, head: str, nearest: Neighbors) -> Floats:
    """What these neighbours answer: values (q, T), or votes (q, classes) before any rejection."""
    return HEADS[head].answers(nearest, voting_of(spec, space))


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
        accuracy=float(1 - _errors(spec, plain, str(spec.head), k)[0]) if labelled else None,
        first_equal=float((before[:, 0] == after[:, 0]).mean()),
        recall=float(shared(before, after).mean()),
    )


def _errors(spec: Spec, space: Space, head: str, k: int) -> Floats:
    """Mean squared error of each target, or the share of wrong labels, of leave-one-out."""
    answers = answers_of_others(spec, space, head, k)
    return HEADS[head].errors(answers, space.references, space.others.queries)
