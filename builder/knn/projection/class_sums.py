"""Means of the classes, and the covariance within them, for any of several parts of the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics.cosine import unit
from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.errors import InputError
from pocketknn.builder.system.container import cores

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NOTHING = 1e-10  # a share of the largest: smaller variances are rounding
_BLOCK = 4096  # rows converted to float64 at once


class Photos(NamedTuple):
    """Statistics of the embeddings at unit length, with equal weight for each class.

    Attributes:
        means: (C, d) of the classes.
        root: (m, d), m at most n and d, with rootᵀ root = Sw, the covariance within classes.
        length: root mean square length of the original embeddings.
        total: the number n of photos.
    """

    means: Floats
    root: Floats
    length: float
    total: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Sums:
    """Sums over the photos of P parts of the classes, from which `Photos` of any parts follow.

    Attributes:
        means: (C, d) of the classes.
        part: (C,) each class's part.
        counts: (P,) how many photos each part has.
        squares: (P,) the sum of the squared lengths of its original embeddings.
        within: its embeddings' differences from the means of their classes, with equal weight for
            each of the C classes: (m, d) of its m photos, or their products (d, d) if there are
            more photos than values.
    """

    means: Floats
    part: Ints
    counts: Ints
    squares: Floats
    within: list[Floats]

    @classmethod
    def of(
        cls,
        vectors: NDArray[np.floating],
        label_ids: Ints,
        used: Ints,
        parts: Sequence[Ints] | None = None,
    ) -> Sums:
        """Sum over the rows `used` of vectors (n, d), in one part if `parts` is None."""
        classes, ids = np.unique(label_ids[used], return_inverse=True)
        part = np.zeros(len(classes), np.int64)
        for number, names in enumerate(parts or ()):
            part[np.isin(classes, names)] = number
        sums, sizes = np.zeros((len(classes), vectors.shape[1])), np.bincount(ids)
        count = 1 if parts is None else len(parts)
        members = [np.flatnonzero(part[ids] == number) for number in range(count)]
        squares = np.zeros(len(members))
        for number, rows in enumerate(members):
            for block in _blocks(rows):
                some = vectors[used[block]].astype(np.float64)
                sums += _membership(ids[block], len(classes)) @ unit(some)
                squares[number] += float((some * some).sum())
        means = sums / sizes[:, None]
        share = 1 / np.sqrt(len(classes) * sizes)

        def differences(block: Ints) -> Floats:
            own = ids[block]
            found: Floats = (unit(vectors[used[block]]) - means[own]) * share[own, None]
            return found

        summed = _stacked if len(used) <= vectors.shape[1] else _products
        return cls(
            means=means,
            part=part,
            counts=np.array([len(rows) for rows in members]),
            squares=squares,
            within=[summed(differences, rows, vectors.shape[1]) for rows in members],
        )

    def photos(self, without: int | None = None) -> Photos:
        """The statistics of all parts, or of all but one.

        Raises:
            InputError: fewer than two classes are left.
        """
        kept = [number for number in range(len(self.within)) if number != without]
        means = self.means[np.isin(self.part, kept)]
        check_classes(len(means))
        within = [self.within[number] for number in kept]
        if self.is_product:
            root = _root(sum(within[1:], within[0]) * (len(self.means) / len(means)))
        else:
            root = np.concatenate(within) * np.sqrt(len(self.means) / len(means))
        total = int(self.counts[kept].sum())
        return Photos(means, root, float(np.sqrt(self.squares[kept].sum() / total)), total)

    @property
    def is_product(self) -> bool:
        """Whether `within` holds products."""
        return bool(self.counts.sum() > self.means.shape[1])


def check_classes(count: int) -> None:
    """Check that there are classes to tell apart.

    Raises:
        InputError: fewer than two.
    """
    if count < 2:
        raise InputError(
            f"the projection 'classes' needs at least two classes, not {count}", "too-few-classes"
        )


def _membership(ids: Ints, classes: int) -> csr_array:
    """A matrix (classes, m) whose product with the rows of m photos sums them by class."""
    from scipy.sparse import csr_array

    here = np.arange(len(ids))
    return csr_array((np.ones(len(here)), (ids, here)), (classes, len(here)))


def _stacked(differences: Callable[[Ints], Floats], rows: Ints, d: int) -> Floats:
    return np.concatenate([np.empty((0, d)), *map(differences, _blocks(rows))])


def _products(differences: Callable[[Ints], Floats], rows: Ints, d: int) -> Floats:
    def product(block: Ints) -> Floats:
        some = differences(block)
        found: Floats = some.T @ some
        return found

    total = np.zeros((d, d))
    with ThreadPoolExecutor(cores()) as workers:
        for one in workers.map(product, _blocks(rows)):  # always in the same order
            total += one
    return total


def _root(covariance: Floats) -> Floats:
    """A triangular matrix R with RᵀR = covariance, up to rounding."""
    mean = float(np.trace(covariance)) / len(covariance)
    raised = covariance + np.eye(len(covariance)) * max(NOTHING * mean, 1e-300)
    found: Floats = np.asarray(np.linalg.cholesky(raised).T, np.float64)
    return found


def _blocks(rows: Ints) -> Iterator[Ints]:
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK]
