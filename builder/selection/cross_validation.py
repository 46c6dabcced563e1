"""Choose k, metric, vote, projection and crop by cross-validation over a grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.choices.neighbors import Ints, Neighbors
from pocketknn.builder.choices.votes import VOTES
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn import exact
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.memory import check_differences
from pocketknn.builder.knn.metric_space import Space
from pocketknn.builder.knn.projected import space_of
from pocketknn.builder.knn.temperature import temperature
from pocketknn.builder.knn.validation.folds import groups, stratified
from pocketknn.builder.knn.validation.occasions import check_occasions, together
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import Spec

from .grid import Grid
from .results import Trial, Tuning, Values, ranked

FOLDS = 5
_UNEVEN = 2  # largest class over smallest class, from which balancing is tried both ways


def tune(
    spec: Spec,
    grid: Grid,
    references_of: Callable[[str], References],
    *,
    folds: int = FOLDS,
    progress: Callable[[int], None] = lambda done: None,
) -> Tuning:
    """Measure each combination of a grid by cross-validation.

    The folds are scikit-learn's `StratifiedKFold`, shuffled by the spec's seed, or `KFold` for
    targets; if there are near-copies or mirrored views of a picture, the grouped variant, which
    keeps them together. The other folds are the references, from which projections are learned too.
    Copies of a picture are removed; otherwise they would be each other's neighbours. Errors of
    several targets are in units of each target's standard deviation, and averaged. If the largest
    class has at least twice the photos of the smallest, votes are tried balanced and unbalanced,
    unless the spec sets `balanced`.

    Args:
        spec: common choices: `seed`, `balanced`, `head` and the backbone's options.
        grid: the values to try.
        references_of: returns the same examples under a crop policy; called once for each.
        folds: how many folds.
        progress: called with the number of searches done since the last call; the total is
            `grid.searches(folds)`.

    Raises:
        InputError: too few examples for the folds or for a value of the grid, or neither classes
            nor targets.

    >>> refs = References.of([[0, 1], [0, 2], [0, 3], [5, 0], [6, 0], [7, 1]], [*"aaabbb"])
    >>> found = tune(Spec(), Grid(crops=("center",)), lambda crop: refs, folds=3)
    >>> found.winner.mean, found.winner.spec.metric, found.winner.spec.k
    (1.0, 'cosine', 1)
    """
    measured: dict[Spec, list[tuple[int, float, Values]]] = {}  # width and quality in each fold
    notes: dict[str, None] = {}
    splits: list[tuple[Ints, Ints]] = []
    belong: Ints | None = None
    for crop in grid.all_crops:
        given = references_of(crop)
        references = given.without_copies()
        base = replace(spec, crop=crop, head=_head(spec, references))
        regress = HEADS[str(base.head)].NUMBERS
        check_folds(folds, len(references), {} if regress else references.counts)
        grid = grid.filled(regress)
        sizes = references.counts.values()
        uneven = not regress and max(sizes) >= _UNEVEN * min(sizes)
        soft = [name for name in grid.votes or () if VOTES[name].SOFT]
        # Use the same folds for all crops, which are compared photo by photo.
        if not splits:
            belong = _belong(references, regress)
            splits = _splits(references, belong, folds, spec.seed)
        smallest = min(len(train) for train, _ in splits)
        ks = grid.ks_within(smallest)
        grid.check_components(smallest, references.dim)
        for train, test in splits:
            part = references.select(train) if regress else references.subset(train)
            for name, metric in product(grid.projections or (), grid.metrics):
                one = replace(base, metric=metric, projection=name)
                # With a soft vote it gets folds of its own, for the temperature.
                space = space_of(replace(one, vote=soft[0]) if soft else one, part)
                try:
                    check_differences(metric, len(given), space.width)
                except InputError as error:  # a build from all examples would raise this too
                    notes[f"skipped: {error}"] = None
                else:
                    votes = _votes(one, grid.votes or (), both=uneven)
                    for tried, value, each in _answers(one, space, ks, votes, references, test):
                        measured.setdefault(tried, []).append((space.width, value, each))
                progress(1)
    trials = [
        Trial(
            spec=tried,
            width=round(float(np.mean([width for width, _, _ in values]))),
            by_fold=tuple(value for _, value, _ in values),
            by_example=tuple(each for _, _, each in values),
        )
        for tried, values in measured.items()
        if len(values) == len(splits)  # a projection may be too wide for memory in some folds only
    ]
    if not trials:
        raise InputError(f"no combination of the grid works; {next(iter(notes))}", "empty-grid")
    return Tuning(
        trials=ranked(trials, regress),
        targets=len(references.target_names) if regress else 0,
        examples=len(references),
        copies=len(given) - len(references),
        notes=tuple(notes),
        together=() if regress or belong is None else tuple(belong[test] for _, test in splits),
    )


def check_folds(folds: int, n: int, sizes: Mapping[str, int]) -> None:
    """Check that there are enough examples, in total and in each class, for the folds.

    Args:
        folds: how many.
        n: how many examples there are.
        sizes: how many each class has; empty for targets.

    Raises:
        InputError: fewer than two folds or two classes; too few examples in total or in a class.
    """
    if folds < 2:
        raise InputError(f"cross-validation needs at least 2 folds, not {folds}", "too-few-folds")
    if len(sizes) == 1:
        raise InputError(
            f"cross-validation needs two classes, but there is only {next(iter(sizes))!r}",
            "too-few-classes",
        )
    for name, size in sizes.items():
        if size < folds:
            fewer = f"use --folds {size}, or " if size > 1 else ""
            raise InputError(
                f"the class {name!r} has {size} different example{'s' * (size != 1)}, too few"
                f" for {folds} folds; {fewer}add examples",
                "too-few-examples",
            )
    if n < 2 * folds:
        raise InputError(
            f"{folds} folds need at least {2 * folds} different examples, not {n}",
            "too-few-examples",
        )


def _head(spec: Spec, references: References) -> str:
    head = spec.head or next(name for name, one in HEADS.items() if one.usual(references))
    numbers, classes = HEADS[head].NUMBERS, HEADS[head].CLASSES
    if not ((numbers and references.target_names) or (classes and references.labels)):
        raise InputError(
            "tuning compares accuracies or errors, which needs classes or targets", "no-labels"
        )
    return head


def _belong(references: References, regress: bool) -> Ints | None:
    """The group of each example: its occasion, or its picture; None for targets alone."""
    if regress and not any(references.occasions):
        return None
    pictures = groups(references.vectors, references.sha256, references.label_ids)
    return together(references, pictures)


def _splits(
    references: References, belong: Ints | None, folds: int, seed: int
) -> list[tuple[Ints, Ints]]:
    """Training rows and test rows of each fold."""
    if belong is None:
        return stratified(len(references), folds, seed, None, None)
    if any(references.occasions):
        return _splits_by_occasion(references, belong, folds, seed)
    # By name, so that neither the order of classes nor an empty class changes the folds.
    names = [references.label_of(row) for row in range(len(references))]
    classes = np.unique(names, return_inverse=True)[1]
    views = len(np.unique(belong)) < len(references)  # they would be each other's neighbours
    return stratified(len(references), folds, seed, classes, belong if views else None)


def _splits_by_occasion(
    references: References, belong: Ints, folds: int, seed: int
) -> list[tuple[Ints, Ints]]:
    """Folds over occasions: one for each occasion, but at most `folds`."""
    from pocketknn.builder.knn.validation import folds as parts

    check_occasions(references)
    n = len(references)
    found = parts.folds(references.label_ids, belong, seed, most=n, parts=folds, across=True)
    if len(found) < 2:
        raise InputError(
            "too few occasions for two folds; take photos on more occasions", "too-few-occasions"
        )
    return [(np.delete(np.arange(n), test), test) for test in found]


def _votes(spec: Spec, names: Sequence[str], *, both: bool) -> list[tuple[str, bool]]:
    """Each vote with its default balance and, with `both`, also with the opposite balance."""
    found = []
    for name in names:
        usual = VOTES[name].SOFT if spec.balanced is None else spec.balanced
        found += [(name, usual)]
        if both and spec.balanced is None:
            found += [(name, not usual)]
    return found


def _answers(
    spec: Spec,
    space: Space,
    ks: Sequence[int],
    votes: Sequence[tuple[str, bool]],
    references: References,
    test: Ints,
) -> Iterator[tuple[Spec, float, Values]]:
    """The quality on a fold for each k and vote, from one search with the largest k."""
    found = space.search(references.vectors[test], max(ks))
    soft: dict[bool, float | None] = {}
    for vote, balanced in votes:
        if VOTES[vote].SOFT:
            given = spec.temperature
            soft[balanced] = (
                temperature(space, max(ks), balanced=balanced) if given is None else given
            )
    for k, (vote, balanced) in product(ks, votes):
        tried = replace(spec, k=k, vote=vote, balanced=balanced)
        # The fold's own temperature, found without the test part, as in a build.
        own = soft[balanced] if tried.soft else None
        one = Fit(spec=replace(tried, temperature=own), space=space)
        yield tried, *_measure(one, found.first(k), references, test)


def _measure(
    fit: Fit, found: Neighbors, references: References, test: Ints
) -> tuple[float, Values]:
    """Accuracy, or root mean squared error, on a fold, and the contribution of each example.

    The contribution is 1 for a right answer and 0 for a wrong one, or the squared error.
    """
    if fit.head.CLASSES:
        right = exact.winners(fit.answers(found)) == references.label_ids[test]
        return float(right.mean()), right
    targets = references.targets.astype(np.float64)
    squares = (fit.answers(found) - targets[test]) ** 2
    errors = np.sqrt(squares.mean(axis=0))
    if targets.shape[1] > 1:
        scale = np.maximum(targets.std(axis=0), 1e-30)
        errors, squares = errors / scale, squares / scale**2
    return float(errors.mean()), squares.mean(axis=1)
