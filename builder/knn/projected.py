"""The references under the projection that a spec names or cross-validation chooses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.projection.class_sums import Sums
from pocketknn.builder.knn.projection.classes import discriminant, from_sums
from pocketknn.builder.knn.projection.pca import Projection, pca
from pocketknn.builder.knn.validation.folds import parts_of_classes
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import AUTO, Spec, resolve_k
from pocketknn.builder.system.blas import one_thread

from .metric_space import Space, no_projection
from .temperature import HeldOut, most_likely, usual

# Widths of learned projections, and the number of references from which extra columns matter.
_WIDTHS = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_MANY = 500
_ENOUGH = 0.7  # minimum share of a class in the training part for the comparison to count
# From so many references, sums over them are kept for a second use. With fewer, summing again is
# faster than keeping a matrix for each part of the classes.
_KEPT_FROM = 20_000
_JUDGE = "soft"  # the vote by which projections are compared


def space_of(spec: Spec, references: References) -> Space:
    """The references under a metric and a projection, which is learned again for each fold.

    Args:
        spec: with a head, a vote, and a projection other than `auto`.
        references: the stored examples.

    Raises:
        InputError: the projection cannot be learned from them.
    """
    learner = _Learner(spec=spec, references=references)
    with one_thread():
        projection = learner.whole()
    if projection is not None and projection.by == "classes":
        projection = projection.padded(_width(len(projection.bias), references.dim))
    folded = projection is not None or spec.soft or any(references.occasions)
    refit = no_projection if projection is None else learner
    return Space(
        references=references,
        metric=spec.metric,
        projection=projection,
        seed=spec.seed,
        refit=refit if folded else None,
    )


def projected(spec: Spec, references: References) -> tuple[Spec, Space]:
    """The space under the projection, with `auto` decided by cross-validation.

    `auto` is `classes`, unless plain cosine gives the true classes a clearly larger share of the
    vote: by two standard errors of the difference. The comparison is ignored if, on average, more
    than three tenths of a class are held out, as with two or three photos per class: the rest are
    too few to estimate the whitening, even if all together are enough. For files that grow, `auto`
    is no projection, as the directions that separate these classes may not separate those taught
    later.
    """
    if spec.projection != AUTO:
        return spec, space_of(spec, references)
    plain = replace(spec, projection="none")
    if spec.grow or not (HEADS[str(spec.head)].CLASSES and METRICS[spec.metric].ANGULAR):
        return plain, space_of(plain, references)
    learned = replace(spec, projection="classes")
    before = space_of(replace(plain, vote=_JUDGE), references)  # in the same folds
    try:
        after = space_of(learned, references)
        after = replace(after, known_pictures=before.pictures, known_unprojected=before)
        alike = [one.test.tolist() for one in after.folds] == [
            one.test.tolist() for one in before.folds
        ]
    except InputError:  # a single class, or embeddings that are all the same
        return plain, space_of(plain, references)
    if not after.folds or not alike:  # too few photos to show how those of a class differ
        return plain, space_of(plain, references)
    k = resolve_k(spec.k, len(references), _JUDGE)
    balanced = bool(spec.balanced)
    old, new = (HeldOut.of(space, k, balanced=balanced) for space in (before, after))
    old_t, new_t = most_likely(old, usual(before)), most_likely(new, usual(after))
    gain = new.log_shares(new_t * new.handicap) - old.log_shares(old_t * old.handicap)
    gain *= new.counts
    error = gain.std() / np.sqrt(len(gain))
    loses = new.left.mean() >= _ENOUGH and gain.mean() < -2 * error
    chosen, space, temperature = (plain, before, old_t) if loses else (learned, after, new_t)
    if loses and not spec.soft:
        space = space_of(plain, references)
    if spec.soft and spec.temperature is None and spec.k != AUTO:
        chosen = replace(chosen, temperature=temperature)
    return chosen, space


@dataclass(frozen=True, kw_only=True, eq=False)
class _Learner:
    """Learns the projection of a spec, if it has one, from references or from some of them."""

    spec: Spec
    references: References

    def whole(self) -> Projection | None:
        """The projection learned from all references."""
        if self.spec.projection == "classes":
            if not self.references.labels:
                raise InputError(
                    "the projection 'classes' is learned from labels, but there are none",
                    "no-labels",
                )
            refs = self.references
            return self._from_sums(None) if len(refs) >= _KEPT_FROM else self(np.arange(len(refs)))
        return self._pca(self.spec.pca, self.references.vectors)

    def __call__(self, rows: Ints) -> Projection | None:
        refs, size = self.references, self.spec.pca
        if self.spec.projection == "classes":
            most, strangers = _most(len(rows), refs.dim), self.spec.reject is not None
            ids = refs.label_ids
            return discriminant(refs.vectors, ids, rows, most=most, strangers=strangers)
        if isinstance(size, int):  # fewer references may have fewer components
            size = min(size, len(rows) - 1, refs.dim)
        return self._pca(size, refs.vectors[rows])

    def without_each(self) -> Iterator[tuple[Ints, Projection | None]]:
        ids = self.references.label_ids
        for number, classes in enumerate(self._parts):
            learned: Projection | None
            try:
                if self.spec.projection == "classes":
                    learned = self._from_sums(number)
                else:
                    learned = self(np.flatnonzero(~np.isin(ids, classes)))
            except InputError:
                learned = None
            yield classes, learned

    def _pca(
        self, size: int | float | str | None, vectors: NDArray[np.float32]
    ) -> Projection | None:
        if self.spec.projection != "pca":
            return None
        return pca(vectors, size if isinstance(size, int | float) else 1, self.spec.whiten or 0.0)

    def _from_sums(self, without: int | None) -> Projection:
        sums = self._sums
        left = sums.counts.sum() - (0 if without is None else sums.counts[without])
        most, strangers = _most(int(left), self.references.dim), self.spec.reject is not None
        return from_sums(sums, without, most=most, strangers=strangers)

    @cached_property
    def _parts(self) -> list[Ints]:
        return parts_of_classes(self.references.label_ids, self.spec.seed)

    @cached_property
    def _sums(self) -> Sums:
        """Over all references, in parts; learning takes nearly all of its time for them."""
        refs = self.references
        return Sums.of(refs.vectors, refs.label_ids, np.arange(len(refs)), self._parts)


def _most(n: int, d: int) -> int:
    """The most columns for which projection and references are no larger than the embeddings."""
    most = max(n * d // (n + d), 2)
    if n < _MANY:
        return most
    return max((width for width in _WIDTHS if width <= most), default=most)


def _width(r: int, d: int) -> int:
    """The width to which a projection is padded with zeros: fewer widths need fewer templates."""
    return max(r, min(next((width for width in _WIDTHS if width >= r), r), d))
