"""Fewer references that answer like all of them, and what that costs."""

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

from .condense_methods import edited, prototypes
from .size_curve import Point, measure

# How each method is called, and whether it can be asked for a number of references.
METHODS = {"prototypes": True, "edited": False}
# Methods of earlier versions, and why they went.
GONE = {
    "condensed": "as many prototypes answer better",
    "same": "what changed no answer to the references still cost new photos some",
}
_HALVINGS = 5  # points of the curve beside the two ends


@dataclass(frozen=True, kw_only=True)
class Condense:
    """How many references to keep, and by what method.

    Attributes:
        by: `prototypes`, the references in the middle of k-means' clusters of each class, or
            `edited`, Wilson's: all but those whose label the others vote against.
        count: how many to keep.
        share: the same as a share of all.
        bytes: the same as the bytes that they take in a file.
    """

    by: str = "prototypes"
    count: int | None = None
    share: float | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        if self.by in GONE:
            raise InputError(
                f"--condense {self.by} is gone: {GONE[self.by]}; say how many prototypes to keep:"
                " --condense 300, 25% or 2MB"
            )
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
        InputError: more than there are, fewer than there are classes, or no labels where the
            method asks for them.

    >>> refs = References.of([[0, 1], [0, 2], [0, 3], [5, 0], [6, 0], [7, 1]], [*"aaabbb"])
    >>> condense(Spec(k=1), refs, Condense(count=2)).references.counts
    {'a': 1, 'b': 1}
    """
    whole = fit(replace(spec.exactly(), reject=None), references)
    _check(plan, whole)
    # Bytes in the graph, without what a scan takes beside them.
    each = STORES[spec.references_precision] * (whole.space.width + (whole.metric.SPARE > 0))
    rows = _choose(plan, whole, _count(plan, whole, each))
    resolve_k(spec.k, len(rows))
    k = min(whole.k, len(rows)) if spec.k == AUTO else spec.k
    chosen = replace(spec, k=k, projection=whole.spec.compared, pca=None, whiten=None)
    sizes = _sizes(plan, whole, len(rows), whole.k + 1 if spec.k is not None else 2)
    steps = [_choose(plan, whole, size) for size in sizes]
    asked = replace(chosen.exactly(), reject=None)
    curve = [
        measure(fit(asked, references.subset(some)), references, some)
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
        raise InputError(f"{plan.by!r} compares labels; without them keep a number of 'prototypes'")
    if len(whole.references) < 2:
        raise InputError("'edited' asks each reference for the others, and there is only one")


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


def _choose(plan: Condense, whole: Fit, most: int) -> Ints:
    """The rows to keep, ascending."""
    return np.sort(prototypes(whole, most)) if METHODS[plan.by] else edited(whole)


def _sizes(plan: Condense, whole: Fit, kept: int, least: int) -> list[int]:
    """How many are kept at further points of the curve: halves, as far as they can be built."""
    if not METHODS[plan.by]:
        return []
    n, size = len(whole.references), whole.spec.pca
    least = max(len(whole.references.labels), least, int(size) if size else 0)
    halves = [n >> power for power in range(1, _HALVINGS + 1)]
    return [half for half in halves if half >= least and half != kept]
