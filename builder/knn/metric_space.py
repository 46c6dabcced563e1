"""What is near what: the references under a metric and a projection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.projection.classes import one_thread
from pocketknn.builder.knn.projection.pca import Projection
from pocketknn.builder.references.references import References

from . import exact
from .exact import EXACT_HIT, METRICS, Floats, Ints, Neighbors
from .folds import MOST_QUERIES, Fold, folds, groups

MOST_OTHERS = 100  # others that are found of each reference
_MOST_OUT_OF_FOLD = 2e11  # products of two numbers for those that are asked, which take seconds
_MOST_QUERIES = 5000  # bounds the time of a leave-one-out to 5,000 × N scores, and
_MOST_PRODUCTS = 1e12  # to so many products of two numbers, which take half a minute or so
_LEAST_QUERIES = 200
_MOST_DIFFERENCES = 1e10  # metrics that no product computes take some ten seconds for so many
# As shares of a length: what float32 sums err by, and the embeddings of smaller backbones.
_EXACT_SHARE = {"float32": 1e-6, "float16": 1e-2, "int8": 5e-2}
_BLOCK = 4096  # rows that are computed at once
_ROUNDING = 1e-6  # a unit vector's length in float32 is off by less, whatever d


Refit = Callable[[NDArray[np.float32], Ints], Projection | None]


class Others(NamedTuple):
    """References as queries of the others.

    Attributes:
        queries: (q,) the references that were asked for.
        found: their nearest others, `MOST_OTHERS` of them where there are so many.
    """

    queries: Ints
    found: Neighbors


@dataclass(frozen=True, kw_only=True, eq=False)
class Space:
    """References, and how their distance to an embedding is measured.

    Attributes:
        references: the stored examples (n, d).
        metric: one of `neighbors.METRICS`.
        projection: from embeddings (d) to what is compared (r), or None: r is d.
        seed: draws the references that are asked for where there are very many.
        refit: finds a projection, or None for none, from other vectors (m, d) and their label
            numbers. With it what is said of the references as queries comes from folds: in the
            space that a photo helped to find, it lies too near to its class. None leaves each
            out alone.
        known_pictures: what `pictures` is, where another space has found it out.
    """

    references: References
    metric: str
    projection: Projection | None
    seed: int = 0
    refit: Refit | None = None
    known_pictures: Ints | None = None

    def project(self, embeddings: NDArray[np.floating]) -> Floats:
        """What of embeddings (q, d) is compared: (q, r) float64."""
        if self.projection is None:
            return np.asarray(embeddings, np.float64)
        return self.projection(embeddings)

    @property
    def most(self) -> int:
        """How many other references each of `others.queries` has, up to `MOST_OTHERS`."""
        return int(self.others.found.indices.shape[1])

    @property
    def scores_of(self) -> str:
        """What of the embeddings scores compare: `embedding`, `pca` or `classes`."""
        return "embedding" if self.projection is None else self.projection.by

    @property
    def width(self) -> int:
        """How many values r of each reference are compared."""
        return self.references.dim if self.projection is None else len(self.projection.bias)

    @cached_property
    def rows(self) -> NDArray[np.floating]:
        """What of the references is compared: (n, r), in float64 where it was projected."""
        vectors = self.references.vectors
        return vectors if self.projection is None else self.project(vectors)

    @cached_property
    def middle(self) -> NDArray[np.float32]:
        """Mean of the rows (r,), which the Euclidean graph subtracts: distances do not see it."""
        mean: NDArray[np.float32] = self.rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    @cached_property
    def matrix(self) -> NDArray[np.float32]:
        """What the graph's layer "references" holds, a row for each reference.

        Cosine: unit vectors (n, r); a zero embedding stays zero. Euclidean: the rows without their
        middle and, as a last value, minus half their squared length (n, r + 1): the product with
        an embedding and a 1 then ranks as the distance does. Others: the rows.
        """
        single = self.references.vectors
        if self.projection is not None or (self.metric == "cosine" and not self._are_units):
            single = np.empty((len(self.references), self.width), np.float32)
            for block in self._blocks:  # all in float64 would take twice the room of the result
                rows = self.project(self.references.vectors[block])
                single[block] = _units(rows) if self.metric == "cosine" else rows
        if self.metric != "euclidean":
            return single
        moved = single - self.middle  # in float32, as the graph does it: an exact hit is exact
        half = -(moved.astype(np.float64) ** 2).sum(axis=1, keepdims=True) / 2
        return np.concatenate([moved, half.astype(np.float32)], axis=1)

    def unit_blocks(self) -> Iterator[Floats]:
        """What cosine compares, some rows at a time: unit vectors, a zero embedding stays zero."""
        for block in self._blocks:
            yield _units(self.project(self.references.vectors[block]))

    @property
    def _blocks(self) -> list[slice]:
        starts = range(0, len(self.references), _BLOCK)
        return [slice(start, start + _BLOCK) for start in starts]

    @property
    def _are_units(self) -> bool:
        vectors = self.references.vectors
        return all(_has_length(vectors[block].astype(np.float64)).all() for block in self._blocks)

    @cached_property
    def unprojected(self) -> Space:
        """The same references by all of their embedding."""
        if self.projection is None:
            return self
        if self.refit is None:
            return replace(self, projection=None)
        return replace(self, projection=None, refit=_none, known_pictures=self.pictures)

    @cached_property
    def pictures(self) -> Ints:
        """Which references show one picture (n,): copies and views of it have one number."""
        if self.known_pictures is not None:
            return self.known_pictures
        refs = self.references
        return groups(refs.vectors, refs.sha256, refs.label_ids)

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        """Parts of the references, each with a projection that was found without it.

        Of very many references only some thousands are in a part. There are none where no class
        has two pictures.
        """
        size = self.references.vectors.size
        return self._folds(int(np.clip(_MOST_OUT_OF_FOLD / size, 1000, MOST_QUERIES)))

    def _folds(self, most: int) -> tuple[Fold, ...]:
        if self.refit is None:
            return ()
        refs, found = self.references, []
        with one_thread():  # with more, sums are rounded otherwise on another machine
            for test in folds(refs.label_ids, self.pictures, self.seed, most):
                train = np.delete(np.arange(len(refs)), test)
                labels = refs.label_ids[train] if refs.labels else refs.label_ids
                with suppress(InputError):  # the others are too few or too alike to learn from
                    found.append(Fold(test, train, self.refit(refs.vectors[train], labels)))
        return tuple(found)

    @cached_property
    def others(self) -> Others:
        """The nearest other references of each reference, or of a seeded draw of very many.

        With folds those outside its own fold, under the projection that was found without it.
        """
        if self.folds:
            return self._out_of_fold(self.folds)
        n, r = self.rows.shape
        by_product = METRICS[self.metric] in (0, 2)
        bound = (_MOST_PRODUCTS if by_product else _MOST_DIFFERENCES) / (n * r)
        most = int(np.clip(bound, _LEAST_QUERIES, _MOST_QUERIES))
        queries = np.arange(n)
        if n > most:
            queries = np.sort(np.random.default_rng(self.seed).choice(n, most, replace=False))
        return Others(queries, self._alone(MOST_OTHERS, queries))

    def _alone(self, k: int, queries: Ints) -> Neighbors:
        """The k nearest of each query but itself, and with a `refit` but views of its picture."""
        views = 0
        if self.refit is not None:
            views = int(np.unique(self.pictures, return_counts=True)[1].max()) - 1
        found = exact.leave_one_out(self.rows, k + views, queries, self.metric)
        same = self.pictures[found.indices] == self.pictures[queries][:, None] if views else None
        if same is None or same.all(axis=1).any():
            return Neighbors(found.scores[:, :k], found.indices[:, :k])
        k = min(k, int((~same).sum(axis=1).min()))
        order = np.argsort(same, axis=1, kind="stable")[:, :k]
        scores: Floats = np.take_along_axis(found.scores, order, axis=1)
        indices: Ints = np.take_along_axis(found.indices, order, axis=1)
        return Neighbors(scores, indices)

    def _out_of_fold(self, parts: Sequence[Fold]) -> Others:
        k = min(MOST_OTHERS, *(len(fold.train) for fold in parts))
        with one_thread():
            found = [fold.search(self.references.vectors, k, self.metric) for fold in parts]
        queries = np.concatenate([fold.test for fold in parts])
        order = np.argsort(queries, kind="stable")
        scores, indices = (np.concatenate(columns)[order] for columns in zip(*found, strict=True))
        return Others(queries[order], Neighbors(scores, indices))

    def others_of_all(self, k: int) -> Neighbors:
        """The k nearest others of every reference, or fewer, however many references there are.

        Behind a projection as in `others`; what is in no fold is left out alone, as it is the only
        picture of its class. Without one each is left out alone: nothing was learned from it.
        """
        rows = np.arange(len(self.references))
        if self.projection is None:
            return self._alone(k, rows)
        every = self.others
        if self.folds and len(self.folds) == 1:  # of very many
            every = self._out_of_fold(self._folds(len(self.references)))
        if len(every.queries) < len(self.references):
            k = min(k, every.found.indices.shape[1])
            alone = self._alone(k, rows)
            k = alone.indices.shape[1]
            for column, values in zip(alone, every.found, strict=True):
                column[every.queries] = values[:, :k]
            return alone
        return Neighbors(every.found.scores[:, :k], every.found.indices[:, :k])

    def scores_of_others(self, queries: Ints) -> Floats:
        """Score of each other reference for some of `others.queries`: (q, n).

        -inf for itself, and with folds for all of its own fold.
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
                asked, rows = (
                    fold.project(vectors[queries[here]]),
                    fold.project(vectors[fold.train]),
                )
                found[np.ix_(here, fold.train)] = exact.scores(asked, rows, self.metric)
        return found

    def scores(self, embeddings: NDArray[np.floating]) -> Floats:
        """Exact score of each reference for each embedding (q, d): (q, n)."""
        return exact.scores(self.project(embeddings), self.rows, self.metric)

    def search(self, embeddings: NDArray[np.floating], k: int) -> Neighbors:
        """The exact k nearest of each embedding (q, d)."""
        return exact.search(self.project(embeddings), self.rows, k, self.metric)

    def exact_hit(self, precision: str) -> float:
        """The distance up to which a neighbour is the query itself, whatever the rounding.

        Cosine distances have a scale of their own. The others err by a share of the embeddings'
        lengths.
        """
        if self.metric == "cosine":
            return EXACT_HIT[precision]
        hit = _EXACT_SHARE[precision] * np.median(self.lengths(self.rows))
        return float(np.float32(max(hit, 1e-30)))

    def lengths(self, rows: NDArray[np.floating]) -> Floats:
        """Distance of each row (q, r) from zero; 1 for cosine, which has no scale."""
        if self.metric == "cosine":
            return np.ones(len(rows))
        return -exact.scores(rows, np.zeros((1, rows.shape[1])), self.metric)[:, 0]


def _none(vectors: NDArray[np.float32], label_ids: Ints) -> None:
    """No projection, from whatever references."""


def _has_length(rows: Floats) -> NDArray[np.bool_]:
    """Whether each row is of length 1, but for rounding: (n,)."""
    near: NDArray[np.bool_] = np.abs(np.sqrt((rows**2).sum(axis=1)) - 1) <= _ROUNDING
    return near


def _units(rows: Floats) -> Floats:
    """Rows of unit length; those that have it stay, as scaling twice would flip last bits."""
    return np.where(_has_length(rows)[:, None], rows, exact.unit(rows))
