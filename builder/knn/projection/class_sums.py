"""Means of the classes, and the covariance within them, for any of several parts of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics.cosine import unit
from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.errors import InputError
from pocketknn.builder.system.blas import in_order

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NOTHING = 1e-10  # a share of the largest: smaller variances are rounding
_BLOCK = 2048  # rows converted to float64 at once, on each core


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
        """Sum over the rows `used` of vectors (n, d), in one part if `parts` is None.

        Raises:
            InputError: fewer than two classes.
        """
        _, first, ids = np.unique(label_ids[used], return_index=True, return_inverse=True)
        names, sizes, d = label_ids[used[first]], np.bincount(ids), vectors.shape[1]
        check_classes(len(names))
        part = np.zeros(len(names), np.int64)
        for number, classes in enumerate(parts or ()):
            part[np.isin(names, classes)] = number
        members = [np.flatnonzero(part[ids] == number) for number in range(len(parts or [0]))]
        share = 1 / np.sqrt(len(names) * sizes)
        stacked = len(used) <= d
        # Differences from any photo of the class are about as small as those from its mean, which
        # is not known before all photos are summed.
        origins = unit(vectors[used[first]])

        def summed(block: Ints) -> _Block:
            some, own = vectors[used[block]], ids[block]
            apart = unit(some)
            apart -= origins[own]
            classes, places = np.unique(own, return_inverse=True)
            sums = _membership(places, len(classes)) @ apart
            apart *= share[own, None]
            square = float(np.einsum("ij,ij->", some, some, dtype=np.float64))
            return _Block(classes, sums, square, apart if stacked else apart.T @ apart)

        moved, squares, within = np.zeros((len(names), d)), np.zeros(len(members)), []
        for number, rows in enumerate(members):
            total, stack = np.zeros((d, d)), [np.empty((0, d))]
            for one in in_order(summed, _blocks(rows)):
                moved[one.classes] += one.sums / sizes[one.classes, None]
                squares[number] += one.square
                if stacked:
                    stack.append(one.within)
                else:
                    total += one.within
            if stacked:
                within.append(np.concatenate(stack) - (moved * share[:, None])[ids[rows]])
            else:
                mine = moved[part == number] / np.sqrt(len(names))
                within.append(total - mine.T @ mine)
        return cls(
            means=origins + moved,
            part=part,
            counts=np.array([len(rows) for rows in members]),
            squares=squares,
            within=within,
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


class _Block(NamedTuple):
    """Sums over some photos: of their embeddings' differences from the first photo of their class.

    Attributes:
        classes: (c,) of these photos.
        sums: (c, d) of the differences.
        square: of the squared lengths of the original embeddings.
        within: the differences, or their products, with equal weight for each class.
    """

    classes: Ints
    sums: Floats
    square: float
    within: Floats


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


def _root(covariance: Floats) -> Floats:
    """A triangular matrix R with RᵀR = covariance, up to rounding."""
    mean = float(np.trace(covariance)) / len(covariance)
    raised = covariance + np.eye(len(covariance)) * max(NOTHING * mean, 1e-300)
    found: Floats = np.asarray(np.linalg.cholesky(raised).T, np.float64)
    return found


def _blocks(rows: Ints) -> list[Ints]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
