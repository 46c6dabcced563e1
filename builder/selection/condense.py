"""Fewer references that answer like all of them, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Ints, Neighbors
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.evaluation import answers
from pocketknn.builder.knn.exact import Floats
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import AUTO, STORES, Spec, resolve_k

from . import edited, hart, prototypes, unchanged

# How each method is called, and whether it can be asked for a number of references.
METHODS = {"prototypes": True, "condensed": True, "edited": False, "same": False}
_HALVINGS = 5  # points of the curve beside the two ends
_MOST = 5000  # references that the curve is measured on; of more, so many are drawn


@dataclass(frozen=True, kw_only=True)
class Condense:
    """How many references to keep, and by what method.

    Attributes:
        by: `prototypes`, the references in the middle of k-means' clusters of each class;
            `condensed`, Hart's: those without which the nearest would be of another class;
            `edited`, Wilson's: without those whose label the others vote against; or `same`: all
            that are needed to leave every leave-one-out answer as it is.
        count: how many to keep.
        share: the same as a share of all.
        bytes: the same as the bytes that they take in a file.
    """

    by: str = "prototypes"
    count: int | None = None
    share: float | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        if self.by not in METHODS:
            raise InputError(f"unknown method {self.by!r}; choose from {', '.join(METHODS)}")
        given = [one for one in (self.count, self.share, self.bytes) if one is not None]
        if len(given) > 1:
            raise InputError("say how many references to keep in one way: number, share or bytes")
        if given and not METHODS[self.by]:
            raise InputError(f"{self.by!r} keeps as many references as it needs, not {given[0]}")
        if not given and self.by == "prototypes":
            raise InputError("say how many prototypes to keep: a number, a share or bytes")
        if self.share is not None and not 0 < self.share <= 1:
            raise InputError(
                f"a share of the references lies between 0 and 100 %, not {self.share:.0%}"
            )
        for number in (self.count, self.bytes):
            if number is not None and number < 1:
                raise InputError(f"at least one reference must be kept, not {number}")


@dataclass(frozen=True, kw_only=True)
class Point:
    """So many references, and how well all of the original ones are answered by them.

    Attributes:
        kept: how many.
        accuracy: share of right answers, those that are kept being left out when they are asked
            for; None without labels.
        rmse: root of the mean squared error of each target, by name; None without targets.
    """

    kept: int
    accuracy: float | None
    rmse: dict[str, float] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Condensed:
    """What is kept, and what was found out on the way.

    Attributes:
        references: what is kept; each is one of the originals, with its picture.
        rows: (m,) which of them, ascending.
        spec: the choices; what `auto` stood for is decided by all of the references.
        by: the method.
        before: how many references there were.
        bytes: what one reference takes in a file.
        curve: the fewest first; the last point is all of them.
    """

    references: References
    rows: Ints
    spec: Spec
    by: str
    before: int
    bytes: int
    curve: tuple[Point, ...]

    def as_json(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "by": self.by,
            "before": self.before,
            "kept": len(self.rows),
            "bytes_each": self.bytes,
            "curve": [vars(point) for point in self.curve],
        }


def condense(spec: Spec, references: References, plan: Condense) -> Condensed:
    """Keep fewer references. Classes never vanish, and the same seed keeps the same.

    Args:
        spec: the choices: metric, k, vote, projection and seed.
        references: n of them.
        plan: how many to keep, and how to choose.

    Raises:
        InputError: more than there are, fewer than there are classes, no labels where the method
            asks for them, or `same` where answers depend on more than the nearest references.

    >>> refs = References.of([[0, 1], [0, 2], [0, 3], [5, 0], [6, 0], [7, 1]], [*"aaabbb"])
    >>> condense(Spec(k=1), refs, Condense(by="condensed")).references.counts
    {'a': 1, 'b': 1}
    """
    asked, spec = spec, spec.exactly()
    if plan.by == "same":  # which can keep its promise without these only
        spec = replace(
            spec,
            projection="none" if spec.projection == AUTO else spec.compared,
            pca=None,
            whiten=None,
            balanced=spec.balanced or False,
            k=resolve_k(None, max(len(references) // 2, 1), spec.vote or "soft")
            if spec.k is None and references.labels
            else spec.k,
        )
    whole = fit(replace(spec, reject=None), references)
    if plan.by == "same":  # nor would votes of another temperature
        spec = replace(spec, temperature=whole.spec.temperature)
    _check(plan, whole)
    each = _bytes_each(asked, whole)
    order = _choose(plan.by, whole, _count(plan, whole, each))
    resolve_k(spec.k, len(order))
    k = min(whole.k, len(order)) if spec.k == AUTO else spec.k
    spec = replace(spec, k=k, projection=whole.spec.compared, pca=None, whiten=None)
    least = whole.k + 1 if asked.k is not None else 2
    sizes = _sizes(plan, whole, len(order), least)
    steps = [_choose(plan.by, whole, size) for size in sizes] if plan.by == "prototypes" else []
    steps = steps or [order[:size] for size in sizes]
    curve = [
        _measure(spec, references, rows) for rows in (*steps, order, np.arange(len(references)))
    ]
    if plan.by == "same" and _changed(whole, order):
        raise InputError("rounding decides some of the answers, so 'same' keeps no promise here")
    rows = np.sort(order)
    return Condensed(
        references=_selected(references, rows),
        rows=rows,
        spec=replace(
            asked,
            k=k,
            projection=spec.compared,
            pca=None,
            whiten=None,
            balanced=spec.balanced,
            temperature=spec.temperature,
        ),
        by=plan.by,
        before=len(references),
        bytes=each,
        curve=tuple(sorted(curve, key=lambda point: point.kept)),
    )


def _bytes_each(spec: Spec, whole: Fit) -> int:
    """Bytes that the graph stores of each reference, without what a scan takes beside it."""
    return STORES[spec.references_precision] * (whole.space.width + (whole.metric.SPARE > 0))


def _check(plan: Condense, whole: Fit) -> None:
    spec = whole.spec
    if plan.by != "prototypes" and not whole.head.CLASSES:
        raise InputError(f"{plan.by!r} compares labels; without them keep a number of 'prototypes'")
    if plan.by == "same" and (spec.projection != "none" or spec.balanced):
        what = "balanced" if spec.balanced else f"the projection {spec.projection}"
        raise InputError(f"'same' keeps no promise with {what}, which changes with the references")
    if plan.by == "edited" and len(whole.references) < 2:
        raise InputError("'edited' asks each reference for the others, and there is only one")
    if plan.by == "same" and len(whole.references) <= whole.k:
        raise InputError(f"'same' takes more references than the k = {whole.k} that vote")


def _count(plan: Condense, whole: Fit, each: int) -> int:
    """How many are kept at most.

    Raises:
        InputError: more than there are, or fewer than there are classes.
    """
    n = len(whole.references)
    classes = sum(count > 0 for count in whole.references.counts.values())
    least = max(classes, 1)
    if plan.count is not None and plan.count > n:
        raise InputError(f"{plan.count} references cannot be kept of {n}; say {least} to {n}")
    wanted = plan.count
    if plan.share is not None:
        wanted = round(plan.share * n)
    if plan.bytes is not None:
        wanted = min(n, plan.bytes // each)
    if wanted is None:
        return n
    if wanted < least:
        need = (
            f"{classes} classes need at least {classes} references" if classes else "one is needed"
        )
        taken = f" ({least * each} bytes, {each} each)" if plan.bytes is not None else ""
        raise InputError(f"{wanted} references are too few: {need}{taken}")
    return wanted


def _choose(by: str, whole: Fit, most: int) -> Ints:
    """The rows to keep; those of `condensed` in the order in which they were found necessary."""
    if by == "prototypes":
        return prototypes.choose(whole, most)
    if by == "condensed":
        return hart.choose(whole, most)
    return edited.choose(whole) if by == "edited" else unchanged.choose(whole)


def _sizes(plan: Condense, whole: Fit, kept: int, least: int) -> list[int]:
    """How many are kept at further points of the curve: halves, as far as they can be built."""
    if not METHODS[plan.by]:
        return []
    n, size = len(whole.references), whole.spec.pca
    start = n if plan.by == "prototypes" else kept
    least = max(len(whole.references.labels), least, int(size) if size else 0)
    halves = [start >> power for power in range(1, _HALVINGS + 1)]
    return [half for half in halves if half >= least and half != kept]


def _measure(spec: Spec, references: References, rows: Ints) -> Point:
    """How well all references are answered by some of them."""
    n = len(references)
    rows, queries = np.sort(rows), np.arange(n)
    if n > _MOST:
        queries = np.sort(np.random.default_rng(spec.seed).choice(n, _MOST, replace=False))
    if len(rows) == 1:  # which has no other to be asked of
        queries = queries[~np.isin(queries, rows)]
    fitted = fit(replace(spec, reject=None), _selected(references, rows))
    if not len(queries) or fitted.head.OUTPUT is None:
        return Point(kept=len(rows), accuracy=None, rmse=None)
    said = _answered(fitted, references, rows, queries)
    if fitted.head.CLASSES:
        right = float((winners(said) == references.label_ids[queries]).mean())
        return Point(kept=len(rows), accuracy=right, rmse=None)
    errors = np.sqrt(((said - references.targets[queries]) ** 2).mean(axis=0))
    named = dict(zip(references.target_names, errors.tolist(), strict=True))
    return Point(kept=len(rows), accuracy=None, rmse=named)


def _answered(fitted: Fit, references: References, rows: Ints, queries: Ints) -> Floats:
    """What is answered for each query; those that are kept are left out when they are asked for."""
    space = fitted.space
    kept = np.isin(queries, rows)
    own = np.searchsorted(rows, queries[kept])
    parts = []
    if kept.any():
        others = space.others_of_all(fitted.k)
        parts = [Neighbors(others.scores[own], others.indices[own])]
    parts += [fitted.search(references.vectors[queries[~kept]])] if (~kept).any() else []
    order = np.concatenate([np.flatnonzero(kept), np.flatnonzero(~kept)])
    said = [answers(fitted.spec, space, str(fitted.spec.head), part) for part in parts]
    found: Floats = np.concatenate(said)[np.argsort(order)]
    return found


def _changed(whole: Fit, rows: Ints) -> bool:
    """Whether any leave-one-out answer is another one with these rows alone."""
    references, every = whole.references, np.arange(len(whole.references))
    kept = fit(whole.spec, _selected(references, rows))
    # Views of a picture answer for each other here: what is promised is that nothing changes.
    whole, kept = (replace(one, space=replace(one.space, refit=None)) for one in (whole, kept))
    before = winners(_answered(whole, references, every, every))
    return bool((winners(_answered(kept, references, np.sort(rows), every)) != before).any())


def _selected(references: References, rows: Ints) -> References:
    """Some references, with all classes in their order."""
    chosen = references.select(np.sort(rows))
    return chosen.in_order(references.labels) if references.labels else chosen
