"""How good are the references? Each is asked for by all the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import neighbors
from .errors import InputError
from .neighbors import Floats, Ints, Neighbors
from .space import MOST_K, Space
from .spec import Spec

if TYPE_CHECKING:
    from .fit import Fit


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut:
    """How well each reference is answered by its k nearest others.

    Attributes:
        accuracy: share of the queries whose label won, before any rejection; None for regression.
        rmse: root of the mean squared error of each target, by name; None where there are none.
        k: how many neighbours were asked.
        queries: how many references were asked for; a seeded draw where there are very many.
    """

    accuracy: float | None
    rmse: dict[str, float] | None
    k: int
    queries: int


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
    """Measure it for a fit's k and vote; None without labels and targets, or with one reference."""
    n, k = len(fit.references), min(fit.k, len(fit.references) - 1)
    if k < 1 or not (fit.references.labels or fit.references.target_names):
        return None
    errors = _errors(fit.spec, fit.space, fit.spec.head or "", k)
    regress = fit.spec.head == "regress"
    named = dict(zip(fit.references.target_names, np.sqrt(errors).tolist(), strict=regress))
    return LeaveOneOut(
        accuracy=None if regress else float(1 - errors[0]),
        rmse=named if regress else None,
        k=k,
        queries=min(n, len(fit.space.others.queries)),
    )


def best_k(spec: Spec, space: Space, head: str) -> int:
    """The k up to 50 with the least leave-one-out error; the smallest of equals.

    Raises:
        InputError: there is one reference only.
    """
    if len(space.references) < 2:
        raise InputError("k = auto asks each reference for its neighbours, and there is only one")
    scale = np.maximum(space.references.targets.var(axis=0), 1e-30) if head == "regress" else 1.0
    wrong = (errors_by_k(spec, space, head) / scale).mean(axis=1)
    return int(np.argmin(np.round(wrong, 12))) + 1


def errors_by_k(spec: Spec, space: Space, head: str) -> Floats:
    """Leave-one-out with one neighbour, with two, and so on up to `MOST_K`: (K, T) or (K, 1).

    For regression the mean squared error of each target, else the share of wrong labels.
    """
    most = min(MOST_K, len(space.references) - 1)
    return np.stack([_errors(spec, space, head, k) for k in range(1, most + 1)])


def answers_of_others(spec: Spec, space: Space, head: str, k: int) -> Floats:
    """What the k nearest others answer for each of `space.others.queries`.

    Returns:
        Values (q, T) for regression, else the votes (q, classes) before any rejection.
    """
    found = space.others.found
    return answers(spec, space, head, Neighbors(found.scores[:, :k], found.indices[:, :k]))


def answers(spec: Spec, space: Space, head: str, nearest: Neighbors) -> Floats:
    """What these neighbours answer: values (q, T), or votes (q, classes) before any rejection."""
    references = space.references
    hit = space.exact_hit("float32")
    if head == "regress":
        return neighbors.mean(
            nearest, references.targets, by=spec.vote, metric=space.metric, exact_hit=hit
        )
    return neighbors.vote(
        nearest,
        references.label_ids,
        len(references.labels),
        by=spec.vote,
        balanced=spec.balanced,
        metric=space.metric,
        exact_hit=hit,
    )


def unprojected(fit: Fit) -> Unprojected | None:
    """What the projection costs; None where there is none, or a single reference."""
    if fit.space.projection is None or len(fit.references) < 2:
        return None
    plain = Space(
        references=fit.references, metric=fit.spec.metric, projection=None, seed=fit.spec.seed
    )
    k = min(fit.k, len(fit.references) - 1)
    queries, found = plain.others
    before = found.indices[:, :k]
    after = neighbors.leave_one_out(fit.space.rows, k, queries, fit.spec.metric).indices
    labelled = fit.references.labels and fit.spec.head != "regress"
    return Unprojected(
        accuracy=float(1 - _errors(fit.spec, plain, "classify", k)[0]) if labelled else None,
        first_equal=float((before[:, 0] == after[:, 0]).mean()),
        recall=float(shared(before, after).mean()),
    )


def shared(wanted: Ints, found: Ints) -> NDArray[np.bool_]:
    """Which of the neighbours (q, k) are among the ones found: (q, k)."""
    among: NDArray[np.bool_] = (wanted[:, :, None] == found[:, None, :]).any(axis=2)
    return among


def _errors(spec: Spec, space: Space, head: str, k: int) -> Floats:
    """Mean squared error of each target, or the share of wrong labels, of leave-one-out."""
    references, queries = space.references, space.others.queries
    answers = answers_of_others(spec, space, head, k)
    if head == "regress":
        return np.asarray(((answers - references.targets[queries]) ** 2).mean(axis=0))
    wrong = neighbors.winners(answers) != references.label_ids[queries]
    return np.array([wrong.mean()])
