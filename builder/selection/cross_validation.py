"""Which k, metric, vote, projection and crop? Cross-validation over a grid of them."""

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
_UNEVEN = 2  # times the smallest class, from where on it is tried both to weigh classes and not to


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
    targets; where there are near-copies and mirrored views of a picture, which stay together, their
    kin for groups. Of each fold the other ones are the references: projections too are found from
    them alone. Copies of a picture are left out, or one of them would answer for the other. Errors
    of several targets are in units of each target's standard deviation, and averaged. Where the
    largest class has twice the photos of the smallest, votes are tried with classes that weigh the
    same and with photos that do, unless the spec says which.

    Args:
        spec: what is the same for all: `seed`, `balanced`, `head` and the backbone's options.
        grid: what is tried.
        references_of: gives the same examples under a crop policy; called once for each.
        folds: how many parts.
        progress: called with the number of searches done since the last call, of
            `grid.searches(folds)`.

    Raises:
        InputError: there are too few examples for so many folds or for a value of the grid, or
            they have neither classes nor targets.

    >>> refs = References.of([[0, 1], [0, 2], [0, 3], [5, 0], [6, 0], [7, 1]], [*"aaabbb"])
    >>> found = tune(Spec(), Grid(crops=("center",)), lambda crop: refs, folds=3)
    >>> found.winner.mean, found.winner.spec.metric, found.winner.spec.k
    (1.0, 'cosine', 1)
    """
    measured: dict[Spec, list[tuple[int, float, Values]]] = {}  # width and quality in each fold
    notes: dict[str, None] = {}
    splits: list[tuple[Ints, Ints]] = []
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
        # The same for all crops, which are compared photo by photo.
        splits = splits or _splits(references, folds, spec.seed, regress)
        smallest = min(len(train) for train, _ in splits)
        ks = grid.ks_within(smallest)
        grid.check_components(smallest, references.dim)
        for train, test in splits:
            part = references.select(train) if regress else references.subset(train)
            for name, metric in product(grid.projections or (), grid.metrics):
                one = replace(base, metric=metric, projection=name)
                # In folds of its own, for the temperature of a soft vote.
                space = space_of(replace(one, vote=soft[0]) if soft else one, part)
                try:
                    check_differences(metric, len(given), space.width)
                except InputError as error:  # which a build of all of them would raise
                    notes[f"left out: {error}"] = None
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
        raise InputError(f"nothing of the grid is left; {next(iter(notes))}")
    return Tuning(
        trials=ranked(trials, regress),
        targets=len(references.target_names) if regress else 0,
        examples=len(references),
        copies=len(given) - len(references),
        notes=tuple(notes),
    )


def check_folds(folds: int, n: int, sizes: Mapping[str, int]) -> None:
    """Refuse folds that are too many for the examples, or would lack a class.

    Args:
        folds: how many.
        n: how many examples there are.
        sizes: how many of them each class has; empty where targets are predicted.

    Raises:
        InputError: fewer than two folds, or two classes; too few examples, in all or in a class.
    """
    if folds < 2:
        raise InputError(f"cross-validation takes at least 2 folds, not {folds}")
    if len(sizes) == 1:
        raise InputError(f"there is one class only, {next(iter(sizes))!r}: nothing can be mistaken")
    for name, size in sizes.items():
        if size < folds:
            fewer = f"--folds {size} or " if size > 1 else ""
            raise InputError(
                f"the class {name!r} has {size} different examples, too few for {folds} folds;"
                f" take {fewer}more examples"
            )
    if n < 2 * folds:
        raise InputError(f"{n} different examples are too few for {folds} folds of two or more")


def _head(spec: Spec, references: References) -> str:
    head = spec.head or next(name for name, one in HEADS.items() if one.usual(references))
    numbers, classes = HEADS[head].NUMBERS, HEADS[head].CLASSES
    if not ((numbers and references.target_names) or (classes and references.labels)):
        raise InputError("tuning compares accuracies, which takes classes or targets")
    return head


def _splits(
    references: References, folds: int, seed: int, regress: bool
) -> list[tuple[Ints, Ints]]:
    """Rows of the training part and of the fold, for each fold."""
    if any(references.occasions):
        return _splits_by_occasion(references, folds, seed)
    if regress:
        return stratified(len(references), folds, seed, None, None)
    # By name: neither the order of the classes nor one without examples may change the parts.
    names = [references.label_of(row) for row in range(len(references))]
    classes = np.unique(names, return_inverse=True)[1]
    pictures = groups(references.vectors, references.sha256, references.label_ids)
    together = len(np.unique(pictures)) < len(references)  # or views would answer for each other
    return stratified(len(references), folds, seed, classes, pictures if together else None)


def _splits_by_occasion(references: References, folds: int, seed: int) -> list[tuple[Ints, Ints]]:
    """As many parts as there are occasions, or `folds` of them."""
    from pocketknn.builder.knn.validation import folds as parts

    check_occasions(references)
    n, ids = len(references), references.label_ids
    whole = together(references, groups(references.vectors, references.sha256, ids))
    found = parts.folds(ids, whole, seed, most=n, parts=folds, across=True)
    if len(found) < 2:
        raise InputError("the occasions make no two folds; take photos on further occasions")
    return [(np.delete(np.arange(n), test), test) for test in found]


def _votes(spec: Spec, names: Sequence[str], *, both: bool) -> list[tuple[str, bool]]:
    """Each vote with whether classes weigh the same; of a default both ways, it comes first."""
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
    """How well a fold is answered with each k and vote, from one search with the largest k."""
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
        # Of each fold its own, found without the fold, as a build finds it.
        degrees = soft[balanced] if tried.soft else None
        one = Fit(spec=replace(tried, temperature=degrees), space=space)
        yield tried, *_measure(one, found.first(k), references, test)


def _measure(
    fit: Fit, found: Neighbors, references: References, test: Ints
) -> tuple[float, Values]:
    """Accuracy, or root mean squared error, of the answers to a fold, and what each adds to it.

    That is whether an answer is right, or its squared error.
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
