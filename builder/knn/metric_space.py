"""The references queried against each other, under a metric and a projection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.projection.pca import Projection
from pocketknn.builder.knn.validation.folds import MOST_QUERIES, PARTS, Fold, folds, groups
from pocketknn.builder.knn.validation.occasions import parts_of, together
from pocketknn.builder.system.blas import one_thread

from . import exact
from .compared import Compared

MOST_OTHERS = 100  # neighbours found of each reference
# Bounds on the work of measuring, in multiplications.
_MOST_OUT_OF_FOLD = 2e11  # out of fold: seconds
_MOST_PRODUCTS = 2.6e11  # leave-one-out: seconds
_MOST_DIFFERENCES = 1e10  # leave-one-out, for metrics without a product: about ten seconds
_MIN_QUERIES, _MOST_QUERIES = 200, 5000


class Refit(Protocol):
    """Learns a projection, or None for none, from some of the references of a space."""

    def __call__(self, rows: Ints) -> Projection | None:
        """Learn from some rows (m,) of the references.

        Raises:
            InputError: nothing can be learned from these rows.
        """
        ...

    def without_each(self) -> Iterator[tuple[Ints, Projection | None]]:
        """Parts of the classes (c,), and what is learned without each; None if nothing can be."""
        ...


class Others(NamedTuple):
    """References as queries, and their nearest other references.

    Attributes:
        queries: (q,) the rows of the queries.
        found: their nearest others, up to `MOST_OTHERS`.
    """

    queries: Ints
    found: Neighbors


@dataclass(frozen=True, kw_only=True, eq=False)
class Space(Compared):
    """References, each of which is also a query among the others.

    Attributes:
        seed: random seed, to sample the queries if there are very many references.
        refit: if given, measurements use folds, because a photo lies too near to its class in a
            space that was learned from that photo. None means leave-one-out.
        known_pictures: the value of `pictures`, if another space has already computed it.
        known_unprojected: the value of `unprojected`, if it has already been used.
    """

    seed: int = 0
    refit: Refit | None = None
    known_pictures: Ints | None = None
    known_unprojected: Space | None = None

    @property
    def most(self) -> int:
        """How many neighbours each of `others.queries` has, up to `MOST_OTHERS`."""
        return int(self.others.found.indices.shape[1])

    @cached_property
    def unprojected(self) -> Space:
        """The same references compared by their whole embedding."""
        known = self.known_unprojected
        if self.projection is None:
            return self
        if known is not None and known.references is self.references:
            return known
        if self.refit is None:
            return replace(self, projection=None)
        return replace(self, projection=None, refit=no_projection, known_pictures=self.pictures)

    @cached_property
    def pictures(self) -> Ints:
        """The picture of each reference (n,): copies and views of one share a number."""
        if self.known_pictures is not None:
            return self.known_pictures
        refs = self.references
        return groups(refs.vectors, refs.sha256, refs.label_ids)

    @property
    def has_two_pictures(self) -> bool:
        """Whether a class has two references or, with a `refit`, two different pictures.

        If not, holding out a reference leaves none of its class, and no answer can be right.
        """
        ids = self.references.label_ids
        pictures = np.arange(len(ids)) if self.refit is None else self.pictures
        pairs = np.unique(np.stack([ids, pictures]), axis=1)
        return bool(np.bincount(pairs[0]).max() > 1)

    @cached_property
    def together(self) -> Ints:
        """Which references are held out together (n,): those of one picture, or one occasion."""
        return together(self.references, self.pictures)

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        """The folds, each with a projection learned without its test part.

        With very many references there is a single fold with a few thousand queries. Empty if no
        class has two pictures.
        """
        size = self.references.vectors.size
        return self._folds(int(np.clip(_MOST_OUT_OF_FOLD / size, 1000, MOST_QUERIES)))

    def _folds(self, most: int) -> tuple[Fold, ...]:
        if self.refit is None:
            return ()
        refs, found = self.references, []
        with one_thread():  # for the same rounding on every machine
            across = any(refs.occasions)
            parts = parts_of(refs.label_ids, self.together) if across else PARTS
            for test in folds(refs.label_ids, self.together, self.seed, most, parts, across=across):
                train = np.delete(np.arange(len(refs)), test)
                if across and len(test) > most:  # of one very large occasion
                    draw = np.random.default_rng(self.seed)
                    test = np.sort(draw.choice(test, most, replace=False))
                with suppress(InputError):  # the training part is too small or too uniform
                    found.append(Fold(test, train, self.refit(train)))
        return tuple(found)

    @cached_property
    def others(self) -> Others:
        """The nearest other references of each reference, or of a random sample of very many.

        With folds they are from the other folds, under the projection learned from these.
        """
        if self.folds:
            return self._out_of_fold(self.folds)
        return Others(self.sample, self._alone(MOST_OTHERS, self.sample))

    @cached_property
    def sample(self) -> Ints:
        """The rows (q,) that can be compared with all others in seconds: all, or drawn from many.

        In ascending order.
        """
        n = len(self.references)
        most_work = _MOST_PRODUCTS if self._metric.BY_PRODUCT else _MOST_DIFFERENCES
        most = int(np.clip(most_work / (n * self.width), _MIN_QUERIES, _MOST_QUERIES))
        if n <= most:
            return np.arange(n)
        draw = np.random.default_rng(self.seed).choice(n, most, replace=False)
        return np.sort(draw)

    def _alone(self, k: int, queries: Ints) -> Neighbors:
        """The k nearest of each query except itself and, with a `refit`, views of its picture."""
        views = 0
        if self.refit is not None:
            views = int(np.unique(self.pictures, return_counts=True)[1].max()) - 1
        found = exact.leave_one_out(self.rows, k + views, queries, self.metric)
        same = self.pictures[found.indices] == self.pictures[queries][:, None] if views else None
        if same is None or same.all(axis=1).any():
            return found.first(k)
        k = min(k, int((~same).sum(axis=1).min()))
        order = np.argsort(same, axis=1, kind="stable")[:, :k]
        scores: Floats = np.take_along_axis(found.scores, order, axis=1)
        indices: Ints = np.take_along_axis(found.indices, order, axis=1)
        return Neighbors(scores, indices)

    def _out_of_fold(self, parts: Sequence[Fold]) -> Others:
        k = min(MOST_OTHERS, *(len(fold.train) for fold in parts))
        found = [fold.search(self.references.vectors, k, self.metric) for fold in parts]
        queries = np.concatenate([fold.test for fold in parts])
        order = np.argsort(queries, kind="stable")
        scores, indices = (np.concatenate(columns)[order] for columns in zip(*found, strict=True))
        return Others(queries[order], Neighbors(scores, indices))

    def others_of_all(self, k: int) -> Neighbors:
        """The k nearest others of every reference, or fewer; never a sample.

        With a projection or occasions, neighbours come from the other folds, as in `others`; but a
        reference in no fold (such as the only picture of its class) uses leave-one-out. Without
        either, all references use leave-one-out, as nothing was learned from them.
        """
        rows = np.arange(len(self.references))
        if self.projection is None and not any(self.references.occasions):
            return self._alone(k, rows)
        every = self.others
        if self.folds and len(self.folds) == 1:  # very many references
            every = self._out_of_fold(self._folds(len(self.references)))
        if len(every.queries) < len(self.references):
            k = min(k, every.found.indices.shape[1])
            alone = self._alone(k, rows)
            k = alone.indices.shape[1]
            for column, values in zip(alone, every.found, strict=True):
                column[every.queries] = values[:, :k]
            return alone
        return every.found.first(k)

    def scores_of_others(self, queries: Ints) -> Floats:
        """Score of each other reference for some of `others.queries`: (q, n).

        -inf for the query itself and, with folds, for its whole fold.
        """
        vectors = self.references.vectors
        if not self.folds:
            found = exact.scores(self.rows[queries], self.rows, self.metric)
            found[np.arange(len(queries)), queries] = -np.inf
            return found
        found = np.full((len(queries), len(vectors)), -np.inf)
        for fold in self.folds:
            here = np.flatnonzero(np.isin(queries, fold.test))
            if len(here):
                test = fold.project(vectors, queries[here])
                rows = fold.project(vectors, fold.train)
                found[np.ix_(here, fold.train)] = exact.scores(test, rows, self.metric)
        return found


class _NoProjection:
    def __call__(self, rows: Ints) -> None:
        return None

    def without_each(self) -> Iterator[tuple[Ints, None]]:
        yield from ()


no_projection = _NoProjection()  # a `refit` that never projects
