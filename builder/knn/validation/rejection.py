"""Rejection: the minimum score of the nearest reference for a picture of a known class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn import exact
from pocketknn.builder.system.blas import in_order

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit
    from pocketknn.builder.knn.metric_space import Space
    from pocketknn.builder.knn.projection.pca import Projection

_VALUES_AT_ONCE = 1 << 26  # scores in a block, 0.5 GB, plus a sorted copy
_ROWS_AT_ONCE = 512
_MOST_UNPROJECTED = 1000  # queries with the whole embedding, which is slow
_ROUNDING = 1e-6  # relative difference below which scores may swap in float32


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """Rejection rates of a threshold.

    Attributes:
        threshold: minimum score of the nearest neighbour of a known picture.
        known: share of the references rejected by leave-one-out: false rejections.
        known_asked: how many references were held out to measure `known`.
        right_kept: share of the references answered right by leave-one-out that are not rejected;
            None if none is answered right.
        left_out_classes: share of pictures rejected when their class is removed from the
            references, over all classes. Each time the projection, if any, is learned again;
            without a projection, the threshold is chosen again, for the same rate of `known`. None
            with a single class.
        left_out_asked: how many pictures were used for that share.
        strangers: share of the given strangers that are rejected; None without strangers.
        strangers_asked: how many strangers were given.
        unprojected: the share of the strangers, or else of the left-out classes, that plain cosine
            of the whole embedding rejects at the same rate of `known`; None without a projection.
    """

    threshold: float
    known: float | None
    left_out_classes: float | None
    known_asked: int = 0
    right_kept: float | None = None
    left_out_asked: int = 0
    strangers: float | None = None
    strangers_asked: int = 0
    unprojected: float | None = None


def threshold(space: Space, false_rejection: float) -> float:
    """The threshold that rejects at most this share of the references in leave-one-out.

    It lies between two scores, so that rounding cannot move a reference across it.

    Raises:
        InputError: there is only one reference.
    """
    if len(space.references) < 2:
        raise InputError(
            "reject = auto uses leave-one-out, which needs at least two references",
            "too-few-references",
        )
    return _quantile(space.others.found.scores[:, 0], false_rejection)


def measure(fit: Fit, strangers: NDArray[np.floating] | None = None) -> Rejection | None:
    """The rejection rates of a fit's threshold; None without one.

    Args:
        fit: with or without a threshold.
        strangers: embeddings (q, d) of pictures that show none of the classes.
    """
    limit = fit.threshold
    if limit is None:
        return None
    several = len(fit.references) > 1
    kept = fit.space.others.found.scores[:, 0] >= limit if several else np.zeros(0, np.bool_)
    known = float((~kept).mean()) if several else None
    rejected = None
    if strangers is not None:
        nearest = fit.space.search(strangers, 1).scores[:, 0]
        rejected = float((nearest < limit).mean())
    plain = None
    if known is not None and fit.space.projection is not None and fit.metric.ANGULAR:
        plain = _unprojected(fit.space.unprojected, known, strangers)
    left_out = np.zeros(0, np.bool_)
    if known is not None:
        left_out = _left_out_classes(fit.space, known, limit)
    return Rejection(
        threshold=limit,
        known=known,
        known_asked=len(kept),
        right_kept=_right_kept(fit, kept) if several else None,
        left_out_classes=float(left_out.mean()) if len(left_out) else None,
        left_out_asked=len(left_out),
        strangers=rejected,
        strangers_asked=0 if strangers is None else len(strangers),
        unprojected=plain,
    )


def _unprojected(plain: Space, rate: float, strangers: NDArray[np.floating] | None) -> float | None:
    """Share of strangers, or else of left-out classes, rejected at this false rejection rate."""
    limit = _quantile(plain.others.found.scores[:, 0], rate)
    if strangers is not None:
        strange = plain.search(strangers, 1).scores[:, 0]
    else:
        strange = without_class(plain, _MOST_UNPROJECTED)
    return float((strange < limit).mean()) if len(strange) else None


def _right_kept(fit: Fit, kept: NDArray[np.bool_]) -> float | None:
    """Share of the right answers to held-out references that are not rejected."""
    right = winners(fit.answers_of_others) == fit.references.label_ids[fit.space.others.queries]
    return float(kept[right].mean()) if right.any() else None


def _left_out_classes(space: Space, rate: float, limit: float) -> NDArray[np.bool_]:
    """Which queries are rejected when their class is removed from the references."""
    if space.projection is not None and space.refit is not None:
        return np.asarray(without_class(space) < limit)
    best = best_of_classes(space, space.others.queries)
    if (np.isfinite(best).any(axis=0)).sum() < 2:
        return np.zeros(0, np.bool_)
    own = space.references.label_ids[space.others.queries]
    rejected = [np.zeros(0, np.bool_)]
    for c in np.unique(own):
        nearest = np.delete(best, c, axis=1).max(axis=1)
        rest = nearest[own != c]
        rest = rest[np.isfinite(rest)]  # a lone reference of the only other class finds nothing
        if not len(rest):
            continue
        rejected.append(nearest[own == c] < _quantile(rest, rate))
    return np.concatenate(rejected)


def without_class(space: Space, most: int | None = None) -> Floats:
    """Score of the nearest reference outside each query's own class (q,), sorted.

    A projection is learned again without the class; many classes are left out in groups. Empty if
    it cannot be learned without them.

    Args:
        space: references with labels.
        most: maximum number of queries; if there are more, a sample of this size is used.
    """
    ids, vectors = space.references.label_ids, space.references.vectors
    queries = space.others.queries
    if most is not None and len(queries) > most:
        draw = np.random.default_rng(space.seed).choice(queries, most, replace=False)
        queries = np.sort(draw)
    if space.projection is None or space.refit is None:
        best = best_of_classes(space, queries)
        best[np.arange(len(queries)), ids[queries]] = -np.inf
        found = best.max(axis=1)
        return np.sort(found[np.isfinite(found)])

    def nearest(left: tuple[Ints, Projection | None]) -> Floats:
        classes, projection = left
        out = np.isin(ids, classes)
        rows = queries[out[queries]]
        if projection is None or not len(rows):
            return np.empty(0)
        others = projection.in_float32(vectors, np.flatnonzero(~out))
        found = exact.search(projection(vectors, rows), others, 1, space.metric)
        return found.scores[:, 0]

    # The next projection is learned while references are searched under the last ones.
    return np.sort(np.concatenate([*in_order(nearest, space.refit.without_each()), np.empty(0)]))


def best_of_classes(space: Space, queries: Ints) -> Floats:
    """The score of the nearest other reference of each class (q, C); -inf for none.

    Args:
        space: references with labels.
        queries: (q,) the query rows.
    """
    ids = space.references.label_ids
    order = np.argsort(ids, kind="stable")
    present, starts = np.unique(ids[order], return_index=True)
    best = np.full((len(queries), len(space.references.labels)), -np.inf)
    rows = min(_ROWS_AT_ONCE, max(_VALUES_AT_ONCE // len(ids), 1))
    for start in range(0, len(queries), rows):
        block = queries[start : start + rows]
        scores = space.scores_of_others(block)
        best[start : start + len(block), present] = np.maximum.reduceat(
            scores[:, order], starts, axis=1
        )
    return best


def _quantile(scores: Floats, share: float) -> float:
    """The highest threshold, midway between two scores, with at most this share below it."""
    ordered = np.sort(scores)
    below = int(round(share * len(ordered), 9))
    # References that are each other's nearest have equal scores, with no gap between them.
    lowest = ordered[: below + 1]
    gaps = np.flatnonzero(np.diff(lowest) > _ROUNDING * np.abs(lowest[:-1]))
    if not len(gaps):
        return float(np.float32(ordered[0] - _ROUNDING * max(1.0, abs(ordered[0]))))
    return float(np.float32((ordered[gaps[-1]] + ordered[gaps[-1] + 1]) / 2))
