"""How accuracy depends on the number of references, and on k."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors, rank
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.fit import Fit, answers, answers_of_others, voting_of
from pocketknn.builder.knn.metric_space import Space
from pocketknn.builder.knn.validation.leave_one_out import MOST_K
from pocketknn.builder.references.references import References
from pocketknn.builder.system.blas import in_order

from .scores import affordable
from .shares import Share, of_held_out

if TYPE_CHECKING:
    from .answers import Answers

DRAWS = 10
UNEVEN = 2  # ratio of the largest class to the smallest
_CLEAR = 3  # standard errors, as the best of up to fifty ks is chosen
_SIZES = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 2000, 5000)
_MOST_STORED = 10_000
_RELEARNED, _MOST_RELEARNED = 3, 2000  # draws and references if each point is learned again
_QUERIES = 400
_MOST_SCORES = 4e6  # queries × stored, which each draw sorts


class AccuracyByK(NamedTuple):
    """Accuracy, or error, of held-out references, by the number of neighbours.

    Attributes:
        ks: (K,) 1, 2, and so on.
        values: (K,) accuracies, or for regression the root mean squared error of the targets in
            standard deviations.
        shares: the accuracies with their intervals; empty for regression.
        best: the k with the best value; the smallest on ties.
        gain: the share of mistakes with the build's k minus that with the best k; for regression
            the reduction of the squared error, in variances.
        error: standard error of the gain, over the same queries.
    """

    ks: Ints
    values: Floats
    shares: tuple[Share, ...]
    best: int
    gain: float
    error: float

    @property
    def clear(self) -> bool:
        """Whether the best k beats the build's k by more than selection bias explains."""
        return self.gain > _CLEAR * self.error


def accuracy_by_k(fit: Fit) -> AccuracyByK | None:
    """Measure accuracy by k; None for image search, or with only one class or reference."""
    refs, regress = fit.references, fit.head.NUMBERS
    if len(refs) < 2 or not (regress or (fit.head.CLASSES and len(refs.labels) > 1)):
        return None
    most = fit.space.most
    ks = np.arange(1, min(MOST_K, most) + 1)
    lost = np.stack([_lost(fit, k) for k in ks.tolist()])
    values = 1 - lost.mean(axis=1)
    shares: tuple[Share, ...] = ()
    if regress:
        values = np.sqrt(lost.mean(axis=1))
    else:
        queries = fit.space.others.queries
        together = fit.space.together[queries[~fit.strangers[queries]]]
        shares = tuple(of_held_out(1 - wrong, together) for wrong in lost)
    best = int(np.argmin(np.round(lost.mean(axis=1), 12)))
    gains = _lost(fit, min(fit.k, most)) - lost[best]
    error = float(gains.std() / np.sqrt(len(gains)))
    return AccuracyByK(ks, values, shares, int(ks[best]), float(gains.mean()), error)


def _lost(fit: Fit, k: int) -> Floats:
    """The loss of each query predicted from k neighbours (q,): 1 if wrong, or the squared error."""
    refs, queries = fit.references, fit.space.others.queries
    found = answers_of_others(fit.spec, fit.space, k)
    if not fit.head.NUMBERS:
        wrong = np.asarray(winners(found) != refs.label_ids[queries], np.float64)
        return wrong[~fit.strangers[queries]]
    scale = np.maximum(refs.targets.var(axis=0), 1e-30)
    return np.asarray(((found - refs.targets[queries]) ** 2 / scale).mean(axis=1))


@dataclass(frozen=True, kw_only=True, eq=False)
class LearningCurve:
    """Accuracy, or error, by the number of examples.

    Attributes:
        sizes: (s,) examples per class, or in total if there are no classes.
        values: (draws, s) accuracies, or for regression the root mean squared error of the targets
            in standard deviations.
        queries: number of held-out references used as queries.
        largest: size of the largest class.
        regress: whether the values are errors.
    """

    sizes: Ints
    values: Floats
    queries: int
    largest: int
    regress: bool

    @property
    def mean(self) -> Floats:
        """The mean over the draws (s,)."""
        return np.asarray(self.values.mean(axis=0))


def learning_curve(fit: Fit, own: Answers, seed: int = 0) -> LearningCurve | None:
    """Measure by leave-one-out over draws of m references of each class, for growing m.

    Each draw puts the references of each class into a new random order. Each query is predicted
    from the first m of each class, without itself. So the value at the last size, if that takes all
    references, is the leave-one-out accuracy itself. Vote, metric and projection are the build's,
    and so is k, but at most m before the last size. If there are very many references, 10,000 are
    stored and 400 are queries.

    If a projection is learned from the references, it is learned again from each draw of m, and the
    queries are other references; the value at the last size is then the cross-validated accuracy.

    Args:
        fit: the choices and the references.
        own: the references, each predicted from the others.
        seed: random seed of the draws.

    Returns:
        None for image search, with one class, with too few references to hold out, or if classes
        differ much in size.
    """
    refs, regress = fit.references, fit.head.NUMBERS
    if len(refs) < 3 or not (regress or (fit.head.CLASSES and len(refs.labels) > 1)):
        return None
    rng = np.random.default_rng(seed)
    if regress and any(refs.occasions):
        return None  # nothing here holds out occasions as a whole
    relearn = fit.space.refit is not None and not regress
    groups = np.zeros(len(refs), np.int64) if regress else refs.label_ids
    counts = np.bincount(groups)
    if counts.max() >= UNEVEN * counts.min():
        return None  # only the large classes would reach its right end
    measured = _relearned(fit, own, rng) if relearn else _drawn(fit, groups, rng)
    if measured is None:
        return None
    sizes, values, queries = measured
    return LearningCurve(
        sizes=sizes,
        values=values,
        queries=queries,
        largest=int(counts.max()),
        regress=regress,
    )


def _drawn(fit: Fit, groups: Ints, rng: np.random.Generator) -> tuple[Ints, Floats, int] | None:
    """Sizes, values and number of queries, from the scores of all references for each query."""
    space = fit.space if fit.space.refit is None else replace(fit.space, refit=None)
    stored = _pool(groups, rng, _MOST_STORED)
    held = np.flatnonzero(np.isin(stored, space.others.queries) & ~fit.strangers[stored])
    count = min(len(held), affordable(space, len(stored), _MOST_SCORES))
    if not count:
        return None
    queries = np.sort(rng.choice(held, count, replace=False))
    scores = space.scores_of_others(stored[queries])[:, stored]
    sizes = _sizes(groups[stored])
    values = np.empty((DRAWS, len(sizes)))
    for draw in range(DRAWS):
        place = _places(groups[stored], rng)
        for column, size in enumerate(sizes.tolist()):
            # With one example per class the second neighbour is certain to be of a wrong class.
            k = min(fit.k, size) if size < sizes[-1] else fit.k
            found = _search(scores, groups[stored], place, queries, size, k)
            near = Neighbors(found.scores, stored[found.indices])
            values[draw, column] = _quality(fit, space, near, stored[queries])
    return sizes, values, count


def _relearned(fit: Fit, own: Answers, rng: np.random.Generator) -> tuple[Ints, Floats, int]:
    """As `_drawn`, but learning the projection again for each point."""
    pool = _pool(fit.references.label_ids, rng, _MOST_RELEARNED)
    refs = fit.references.select(pool).in_order(fit.references.labels)
    pictures, occasions = fit.space.pictures[pool], any(refs.occasions)
    parts = [np.isin(pool, fold.test) for fold in fit.space.folds] if occasions else []
    sizes = _sizes(refs.label_ids)
    values = np.full((_RELEARNED, len(sizes)), own.right.value)
    drawn: dict[tuple[int, int], tuple[Ints, Ints]] = {}  # stored references, and queries
    for draw in range(_RELEARNED):
        # With occasions the queries are from one part, and the stored references from the others.
        out = parts[draw % len(parts)] if parts else np.zeros(len(pool), bool)
        place = _places(np.where(out, refs.label_ids.max() + 1, refs.label_ids), rng)
        for column, size in enumerate(sizes[:-1]):
            stored = np.flatnonzero((place < size) & ~out)
            held_out = out if parts else ~np.isin(pictures, pictures[stored])
            left = np.flatnonzero(held_out & ~fit.strangers[pool])
            queries = left[rng.permutation(len(left))[:_QUERIES]]
            if len(queries):
                drawn[draw, column] = stored, queries
    measured = in_order(lambda rows: _accuracy_of(fit, refs, *rows), drawn.values())
    for point, value in zip(drawn, measured, strict=True):
        values[point] = value
    return sizes, values, max((len(queries) for _, queries in drawn.values()), default=0)


def _accuracy_of(fit: Fit, refs: References, stored: Ints, queries: Ints) -> float:
    """Accuracy of queries among the stored references, with a projection learned from these."""
    from pocketknn.builder.knn.projected import space_of

    few = refs.select(stored).in_order(refs.labels)
    try:
        space = space_of(fit.spec, few)
    except InputError:  # too few to learn how photos of a class vary
        space = replace(fit.space, references=few, projection=None, refit=None)
    found = space.search(refs.vectors[queries], min(fit.k, len(few)))
    votes = answers(replace(fit.spec, head="classify"), space, found)
    return float((winners(votes) == refs.label_ids[queries]).mean())


def _sizes(groups: Ints) -> Ints:
    """The numbers of examples per class to try; the last takes all examples."""
    largest = int(np.bincount(groups).max())
    return np.array([size for size in _SIZES if size < largest] + [largest])


def _pool(groups: Ints, rng: np.random.Generator, most: int) -> Ints:
    """All references, or as many of each class as the limit allows, in order."""
    if len(groups) <= most:
        return np.arange(len(groups))
    each = max(2, most // (int(groups.max()) + 1))
    return np.flatnonzero(_places(groups, rng) < each)


def _places(groups: Ints, rng: np.random.Generator) -> Ints:
    """The position of each reference in a random order of its class."""
    order = rng.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    starts = np.searchsorted(groups[order], groups[order])
    places = np.empty(len(groups), np.int64)
    places[order] = np.arange(len(groups)) - starts
    return places


def _search(
    scores: Floats, groups: Ints, place: Ints, queries: Ints, size: int, k: int
) -> Neighbors:
    """The k nearest among the first `size` of each class, without the query itself."""
    columns = np.flatnonzero(place <= size)
    seen = scores[:, columns]
    # If the query is among the first of its own class, the next in line moves up.
    waiting = np.flatnonzero(place[columns] == size)
    own = groups[columns[waiting]] == groups[queries][:, None]
    moves_up = own & (place[queries] < size)[:, None]
    seen[:, waiting] = np.where(moves_up, seen[:, waiting], -np.inf)
    if k >= len(columns) - len(waiting):  # some queries may see fewer than k
        k = min(k, int(np.isfinite(seen).sum(axis=1).min()))
    found = rank(seen, k)
    return Neighbors(found.scores, columns[found.indices])


def _quality(fit: Fit, space: Space, found: Neighbors, queries: Ints) -> float:
    """How well these neighbours answer the queries; see `LearningCurve.values`."""
    refs, head = fit.references, fit.head
    errors = head.errors(head.answers(found, voting_of(fit.spec, space)), refs, queries)
    if not head.NUMBERS:
        return float(1 - errors[0])
    return float(np.sqrt((errors / np.maximum(refs.targets.var(axis=0), 1e-30)).mean()))
