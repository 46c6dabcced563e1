"""The learning curve: how good fewer references would have been."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pocketknn.builder import neighbors
from pocketknn.builder.fit import Fit
from pocketknn.builder.neighbors import Floats, Ints, Neighbors

from .sampling import affordable

DRAWS = 10
_SIZES = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 2000, 5000)
_MOST_STORED = 10_000
_MOST_SCORES = 4e6  # queries × stored: what each draw sorts


@dataclass(frozen=True, kw_only=True, eq=False)
class LearningCurve:
    """Accuracy, or error, against the number of examples.

    Attributes:
        sizes: (s,) examples of each class, or of all where there are no classes.
        values: (draws, s) accuracies, or for regression the root mean squared error of the targets
            in standard deviations.
        queries: how many references were asked for, each left out.
        largest: examples of the largest class.
        regress: whether the values are errors.
    """

    sizes: Ints
    values: Floats
    queries: int
    largest: int
    regress: bool

    @property
    def mean(self) -> Floats:
        """Over the draws (s,)."""
        return np.asarray(self.values.mean(axis=0))

    def enough(self, within: float) -> int:
        """The fewest examples from which on the mean stays as near to that of the last size."""
        lost = np.abs(self.mean - self.mean[-1]) if self.regress else self.mean[-1] - self.mean
        bad = np.flatnonzero(lost > within)
        return int(self.sizes[bad[-1] + 1 if len(bad) else 0])


def learning_curve(fit: Fit, seed: int = 0) -> LearningCurve | None:
    """Leave-one-out over draws of m references of each class, for growing m.

    Each query is answered by the first m references of each class, in an order that is drawn anew
    each time, itself left out. So the last size, where it takes all references, is the leave-one-
    out accuracy itself. Vote, metric and projection are the build's, and so is k, which is no more
    than m. Of very many references draws are taken: 10,000 stored, 400 queries.

    None without labels and targets, or where there is one class or too little to leave out.
    """
    refs, space = fit.references, fit.space
    regress = fit.spec.head == "regress"
    if len(refs) < 3 or not (regress or len(refs.labels) > 1):
        return None
    rng = np.random.default_rng(seed)
    groups = np.zeros(len(refs), np.int64) if regress else refs.label_ids
    stored = _pool(groups, rng)
    count = min(len(stored), affordable(space, len(stored), _MOST_SCORES))
    asked = np.sort(rng.choice(len(stored), count, replace=False))
    scores = neighbors.scores(space.rows[stored[asked]], space.rows[stored], space.metric)
    scores[np.arange(len(asked)), asked] = -np.inf
    largest = int(np.bincount(groups[stored]).max())
    sizes = np.array([size for size in _SIZES if size < largest] + [largest])
    values = np.empty((DRAWS, len(sizes)))
    for draw in range(DRAWS):
        place = _places(groups[stored], rng)
        for column, size in enumerate(sizes):
            # With one example of each class the second neighbour is of a wrong class for sure.
            k = min(fit.k, int(size)) if size < largest else fit.k
            found = _search(scores, groups[stored], place, asked, int(size), k)
            values[draw, column] = _quality(fit, found, stored, asked)
    return LearningCurve(
        sizes=sizes,
        values=values,
        queries=len(asked),
        largest=int(np.bincount(groups).max()),
        regress=regress,
    )


def _pool(groups: Ints, rng: np.random.Generator) -> Ints:
    """All references, or so many of each class that they are not too many, in their order."""
    if len(groups) <= _MOST_STORED:
        return np.arange(len(groups))
    each = max(2, _MOST_STORED // (int(groups.max()) + 1))
    return np.flatnonzero(_places(groups, rng) < each)


def _places(groups: Ints, rng: np.random.Generator) -> Ints:
    """The place of each reference in its class, in an order that is drawn."""
    order = rng.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    starts = np.searchsorted(groups[order], groups[order])
    places = np.empty(len(groups), np.int64)
    places[order] = np.arange(len(groups)) - starts
    return places


def _search(scores: Floats, groups: Ints, place: Ints, asked: Ints, size: int, k: int) -> Neighbors:
    """The k nearest of the first `size` of each class, the query itself not counted."""
    columns = np.flatnonzero(place <= size)
    seen = scores[:, columns]
    # The next in line moves up in the query's own class where the query held a place.
    waiting = np.flatnonzero(place[columns] == size)
    own = groups[columns[waiting]] == groups[asked][:, None]
    moves_up = own & (place[asked] < size)[:, None]
    seen[:, waiting] = np.where(moves_up, seen[:, waiting], -np.inf)
    if k >= len(columns) - len(waiting):  # so few that some queries may see fewer than k
        k = min(k, int(np.isfinite(seen).sum(axis=1).min()))
    found = neighbors.rank(seen, k)
    return Neighbors(found.scores, columns[found.indices])


def _quality(fit: Fit, found: Neighbors, stored: Ints, asked: Ints) -> float:
    refs, spec, space = fit.references, fit.spec, fit.space
    hit = space.exact_hit("float32")
    queries = stored[asked]
    if spec.head == "regress":
        targets = refs.targets[stored]
        means = neighbors.mean(found, targets, by=spec.vote, metric=spec.metric, exact_hit=hit)
        scale = np.maximum(refs.targets.var(axis=0), 1e-30)
        return float(np.sqrt((((means - refs.targets[queries]) ** 2) / scale).mean()))
    votes = neighbors.vote(
        found,
        refs.label_ids[stored],
        len(refs.labels),
        by=spec.vote,
        balanced=spec.balanced,
        metric=spec.metric,
        exact_hit=hit,
    )
    return float((neighbors.winners(votes) == refs.label_ids[queries]).mean())
