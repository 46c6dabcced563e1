"""Resolve every `auto` of a spec from the references, before the graph is wired."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from pocketknn.builder.choices import room
from pocketknn.builder.choices.heads import HEADS, of_classes
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.choices.votes import VOTES
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.index.choose import index
from pocketknn.builder.knn.projection.pca_size import best_components
from pocketknn.builder.knn.validation import rejection
from pocketknn.builder.knn.validation.leave_one_out import best_k
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import AUTO, UNKNOWN, Spec, resolve_k

from .fit import Fit
from .memory import check_differences, check_room
from .metric_space import Space
from .projected import projected, space_of
from .temperature import temperature


def fit(spec: Spec, references: References) -> Fit:
    """Find k, the projection, the temperature of the vote and the threshold of unknown.

    Raises:
        InputError: too few references or components, or no labels or targets, for the spec; or the
            build needs more memory than is free or sensible.
    """
    n, given = len(references), spec
    check_room(spec, n, references.dim, held=True)
    spec = _with_head(spec, references)
    if spec.k != AUTO:
        # The default k never exceeds the candidates that the user set.
        room = n + (spec.grow or 0)
        most = min(room, spec.candidates or room) if spec.k is None and spec.soft else room
        spec = replace(spec, k=resolve_k(spec.k, most, spec.vote))
    if spec.pca == AUTO:
        spec = _with_components(spec, references)
    spec, space = projected(spec, references)
    check_differences(spec.metric, n, space.width)
    if spec.soft and spec.temperature is None:
        spec = replace(spec, temperature=_temperature(spec, space))
    if spec.k == AUTO:
        spec = replace(spec, k=best_k(spec, space))
    if spec.reject == AUTO:
        spec = replace(spec, reject=rejection.threshold(space, spec.false_rejection))
    found = index(spec, space, min(int(spec.k or 1), n))
    if found is not None and SEARCHES[found.search].SCANS:
        spec = replace(spec, search=found.search, candidates=found.candidates)
    elif spec.search == AUTO:
        spec = replace(spec, search="exact")
    return Fit(spec=spec, space=space, index=found, refit=partial(_fit_fewer, given))


def _fit_fewer(spec: Spec, references: References) -> Fit:
    """A fit of fewer references, to be queried with the held-out ones."""
    k = min(spec.k, len(references)) if isinstance(spec.k, int) else spec.k
    # One photo per class is not enough to learn from: auto then compares the embeddings.
    by = AUTO if spec.projection == "classes" else spec.projection
    if spec.grow:  # nothing is taught while measuring
        by = "none" if spec.projection == AUTO else by
        spec = replace(spec, grow=None, spare=None)
    return fit(replace(spec.exactly(), k=k, projection=by, reject=None), references)


def _temperature(spec: Spec, space: Space) -> float:
    """The temperature of the vote; with the default k if k is still `auto`."""
    n = len(space.references)
    k = min(resolve_k(spec.k, n + (spec.grow or 0), spec.vote), n)
    return temperature(space, k, balanced=bool(spec.balanced))


def _with_components(spec: Spec, references: References) -> Spec:
    """The spec with `pca:auto` replaced by the best number of components."""
    trial = spec
    if spec.soft and spec.temperature is None:  # one for all numbers of components
        plain = space_of(replace(spec, projection="none", pca=None, whiten=None), references)
        trial = replace(spec, temperature=_temperature(spec, plain))
    found = best_components(trial, references)
    return replace(spec, pca=found.pca, whiten=found.whiten)


def _with_head(spec: Spec, references: References) -> Spec:
    """The spec with head, vote and balance, checked against each other and the references."""
    name = spec.head or next(name for name, head in HEADS.items() if head.usual(references))
    head = HEADS[name]
    vote = spec.vote or head.VOTE
    soft = VOTES[vote].SOFT
    balanced = soft if spec.balanced is None else spec.balanced
    spec = replace(spec, head=name, vote=vote, balanced=balanced)
    head.check(references)
    if spec.grow and head.CLASSES:
        spec = replace(spec, spare=room.classes(spec.grow, spec.spare))
        room.check_names(references.labels, spec.grow, spec.spare)
    if spec.k == AUTO and not (head.CLASSES or head.NUMBERS or references.labels):
        raise InputError(
            "k = auto chooses k by accuracy, which needs labels or targets", "auto-k-needs-labels"
        )
    if soft and not head.CLASSES:
        raise InputError(
            f"a soft vote needs the head {of_classes()}, not {name!r}", "soft-needs-classes"
        )
    if spec.reject is not None and UNKNOWN in references.labels:
        raise InputError(
            f"with reject, the class name {UNKNOWN!r} is reserved; rename your class",
            "reserved-class-name",
        )
    return spec
