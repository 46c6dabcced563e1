"""Reduce the references to fewer with similar answers, and measure what that costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import AUTO, STORES, Spec, resolve_k
from pocketknn.builder.wording import counted

from .condense_methods import edited, prototypes
from .size_curve import Point, measure

# The methods, and whether each can produce a given number of references.
METHODS = {"prototypes": True, "edited": False}
# Methods of earlier versions, and why they were removed.
GONE = {
    "condensed": "the same number of prototypes is more accurate",
    "same": "it kept every answer for the references, but changed answers for new photos",
}
_HALVINGS = 5  # points of the curve between the two ends


@dataclass(frozen=True, kw_only=True)
class Condense:
    """How many references to keep, and by what method.

    Attributes:
        by: `prototypes`, the references in the middle of each class's k-means clusters, or
            `edited`, Wilson's editing: all except those that leave-one-out misclassifies.
        count: how many to keep.
        share: the same, as a share of all.
        bytes: the same, as their size in a file.
    """

    by: str = "prototypes"
    count: int | None = None
    share: float | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        if self.by in GONE:
            raise InputError(
                f"--condense {self.by} was removed: {GONE[self.by]}; give the number of prototypes"
                " instead: --condense 300, 25% or 2MB",
                "method-removed",
            )
        if self.by not in METHODS:
            raise InputError(
                f"unknown method {self.by!r}; choose from {', '.join(METHODS)}", "unknown-choice"
            )
        given = [one for one in (self.count, self.share, self.bytes) if one is not None]
        if len(given) > 1:
            raise InputError(
                "give only one of these: the number, the share or the bytes of references to keep",
                "size-given-twice",
            )
        if given and not METHODS[self.by]:
            raise InputError(
                f"{self.by!r} chooses the number of references itself; omit {given[0]}",
                "size-not-applicable",
            )
        if not given and self.by == "prototypes":
            raise InputError(
                "give the number, share or bytes of prototypes to keep", "size-missing"
            )
        if self.share is not None and not 0 < self.share <= 1:
            raise InputError(
                f"the share of references must be between 0 and 100 %, not {self.share:.0%}",
                "share-out-of-range",
            )
        for number in (self.count, self.bytes):
            if number is not None and number < 1:
                raise InputError(
                    f"at least one reference must be kept, not {number}", "count-too-small"
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class Condensed:
    """The references to keep, and measurements.

    Attributes:
        references: those kept; each is one of the originals, with its picture.
        rows: (m,) their original rows, ascending.
        spec: the choices; every `auto` was resolved with all references.
        by: the method.
        before: the original number of references.
        bytes: the size of one reference in a file.
        curve: accuracy or error by number of kept references, from the fewest to all.
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
    """Keep fewer references. Each class keeps at least one; only the seed makes results vary.

    Args:
        spec: the choices: metric, k, vote, projection and seed.
        references: n of them.
        plan: how many to keep, and how to choose.

    Raises:
        InputError: the plan keeps more references than there are or fewer than classes, or its
            method needs labels and there are none.

    >>> refs = References.of([[0, 1], [0, 2], [0, 3], [5, 0], [6, 0], [7, 1]], [*"aaabbb"])
    >>> condense(Spec(k=1), refs, Condense(count=2)).references.counts
    {'a': 1, 'b': 1}
    """
    whole = fit(replace(spec.exactly(), reject=None), references)
    _check(plan, whole)
    # Bytes in the graph, not counting a scan.
    each = STORES[spec.references_precision] * (whole.space.width + (whole.metric.SPARE > 0))
    rows = _choose(plan, whole, _count(plan, whole, each))
    resolve_k(spec.k, len(rows))
    k = min(whole.k, len(rows)) if spec.k == AUTO else spec.k
    chosen = replace(spec, k=k, projection=whole.spec.compared, pca=None, whiten=None)
    sizes = _sizes(plan, whole, len(rows), whole.k + 1 if spec.k is not None else 2)
    steps = [_choose(plan, whole, size) for size in sizes]
    plain = replace(chosen.exactly(), reject=None)
    curve = [
        measure(fit(plain, references.subset(some)), references, some)
        for some in (*steps, rows, np.arange(len(references)))
    ]
    return Condensed(
        references=references.subset(rows),
        rows=rows,
        spec=chosen,
        by=plan.by,
        before=len(references),
        bytes=each,
        curve=tuple(sorted(curve, key=lambda point: point.kept)),
    )


def _check(plan: Condense, whole: Fit) -> None:
    if plan.by == "prototypes":
        return
    if not whole.head.CLASSES:
        raise InputError(f"{plan.by!r} needs labels; without them use 'prototypes'", "no-labels")
    if len(whole.references) < 2:
        raise InputError(
            "'edited' uses leave-one-out, but there is only one reference", "too-few-references"
        )


def _count(plan: Condense, whole: Fit, each: int) -> int:
    """The maximum number of references to keep.

    Raises:
        InputError: it is larger than the number of references, or smaller than the number of
            classes.
    """
    n = len(whole.references)
    classes = sum(count > 0 for count in whole.references.counts.values())
    minimum = max(classes, 1)
    if plan.count is not None and plan.count > n:
        raise InputError(
            f"cannot keep {plan.count} of {counted(n, 'reference')}; choose from {minimum} to {n}",
            "too-many-to-keep",
        )
    wanted = plan.count
    if plan.share is not None:
        wanted = round(plan.share * n)
    if plan.bytes is not None:
        wanted = min(n, plan.bytes // each)
    if wanted is None:
        return n
    if wanted < minimum:
        need = (
            f"{classes} classes need at least {classes} references"
            if classes > 1
            else "one is needed"
        )
        taken = f" ({minimum * each} bytes, {each} each)" if plan.bytes is not None else ""
        raise InputError(
            f"{counted(wanted, 'reference is', 'references are')} too few: {need}{taken}",
            "too-few-to-keep",
        )
    return wanted


def _choose(plan: Condense, whole: Fit, most: int) -> Ints:
    """The rows to keep, ascending."""
    return np.sort(prototypes(whole, most)) if METHODS[plan.by] else edited(whole)


def _sizes(plan: Condense, whole: Fit, kept: int, least: int) -> list[int]:
    """The numbers of references at the other points of the curve, found by halving."""
    if not METHODS[plan.by]:
        return []
    n, size = len(whole.references), whole.spec.pca
    least = max(len(whole.references.labels), least, int(size) if size else 0)
    halves = [n >> power for power in range(1, _HALVINGS + 1)]
    return [half for half in halves if half >= least and half != kept]
