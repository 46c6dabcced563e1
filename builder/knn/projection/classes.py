"""Directions in which classes differ, whitened within the classes, in closed form.

Regularised linear discriminant analysis (Friedman, Regularized Discriminant Analysis, 1989) as a
projection for k-NN, not as a classifier: directions in which photos of one class differ (light,
background, pose) are shrunk, and those that separate classes are kept. It is one linear layer
without a bias, so under cosine the length of an embedding does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.errors import InputError
from pocketknn.builder.system.blas import one_thread

from .class_sums import NOTHING, Photos, Sums
from .pca import Projection

# Shrinkage: how much of the within-class covariance is replaced by its mean variance in all
# directions. 0.5 to 0.8 are equally accurate; less amplifies half-precision rounding errors of the
# backbone.
STRENGTH = 0.7
# Minimum number of compared values: with fewer, different photos would look the same.
LEAST_WIDTH = 32
# Length of the mean direction that all references share, relative to the discriminant directions.
# With it, a query with only a small part in the latter is near no class, instead of having that
# part stretched to unit length.
_SHARED = 0.5
_SHARED_CENTRED = 0.3  # without whitening: more of it lost accuracy
# To detect strangers: the number of columns that sketch the directions the others leave out, and
# their relative length. On caltech, flowers, pacs, pets and insects, 20 photos each, 28 to 83 % of
# the photos of other sets were rejected at 5 % false rejections, and 46 to 94 % with the sketch, at
# equal accuracy. With 43 and 80 classes 97 % were rejected without it, and it cost three points.
_SKETCH, _OUTSIDE = 64, 0.5


def discriminant(
    vectors: NDArray[np.floating],
    label_ids: Ints,
    rows: Ints | None = None,
    *,
    strength: float = STRENGTH,
    most: int | None = None,
    strangers: bool = False,
) -> Projection:
    """The directions that separate classes relative to the spread within them.

    Embeddings are scaled to unit length, and the mean of the class means, h, is treated separately.
    In the other directions Sw is the unweighted mean of the class covariances, and
    Sw' = (1 - a) Sw + a tr(Sw)/d I. The first columns K of the kernel satisfy Kᵀ Sw' K = I and span
    Sw'⁻¹ (class means): C - 1 of them, sorted by how far they spread the means. If these are fewer
    than `LEAST_WIDTH`, next come the directions in which photos of one class differ most after
    whitening. The last column is h, scaled to be about the same small part of every reference.

    A stranger differs from all references in directions that hardly vary among them, and that the
    kernel therefore drops. `strangers` appends a sketch of them: 64 random directions approximately
    preserve lengths and products (Johnson and Lindenstrauss, 1984). It is short, so that it hardly
    affects the classes. More classes than `LEAST_WIDTH` need no sketch.

    If no class has two different photos, Sw cannot be estimated, and Sw' = I.

    Args:
        vectors: (n, d) embeddings from the backbone.
        label_ids: (n,) class numbers.
        rows: (m,) the rows that are used, as if there were no others; None for all.
        strength: a, above 0 and up to 1.
        most: maximum columns; None for n d / (n + d), with which kernel and references together
            are no larger than the embeddings. The sketch is not counted.
        strangers: append the sketch, for rejection by score.

    Returns:
        A bias of zeros, and a kernel under which references have lengths of about 1.

    Raises:
        InputError: fewer than two classes, or all embeddings are equal.
    """
    used = np.arange(len(vectors)) if rows is None else rows
    n, d = len(used), vectors.shape[1]
    most = max(n * d // (n + d), 2) if most is None else most
    sums = Sums.of(vectors, label_ids, used)
    return from_sums(sums, strength=strength, most=most, strangers=strangers)


def from_sums(
    sums: Sums,
    without: int | None = None,
    *,
    strength: float = STRENGTH,
    most: int,
    strangers: bool = False,
) -> Projection:
    """The `discriminant` of the photos that were summed, or of all but those of one part.

    Raises:
        InputError: fewer than two classes are left, or all embeddings that are left are equal.
    """
    with one_thread():
        return _discriminant(sums.photos(without), strength, most, strangers)


def _discriminant(photos: Photos, strength: float, most: int, strangers: bool) -> Projection:
    classes, d = photos.means.shape
    middle = photos.means.mean(axis=0)
    shared = float(np.linalg.norm(middle))
    common = middle / shared if shared > 1e-6 else np.zeros(d)  # embeddings may be centred on zero
    means = (photos.means - middle) / np.sqrt(classes)
    means -= np.outer(means @ common, common)
    along = float(((photos.root @ common) ** 2).sum())
    root = photos.root - np.outer(photos.root @ common, common)
    within, between = float((root * root).sum()), float((means * means).sum())
    if within + between <= NOTHING:
        raise InputError(
            "all embeddings are equal, so no direction separates the classes", "equal-embeddings"
        )
    whitens = within > NOTHING * between
    ridge = strength * within / d if whitens else 1.0
    inverse = _Inverse.of(root * np.sqrt(1 - strength) if whitens else root[:0], ridge)
    room = min(max(classes, LEAST_WIDTH), most) - bool(common.any())
    kernel = inverse.leading(means, room, np.empty((d, 0)))
    if whitens and kernel.shape[1] < room:
        more = inverse.leading(_strongest(root), room - kernel.shape[1], kernel)
        kernel = np.concatenate([kernel, more], axis=1)
    basis = np.linalg.qr(kernel)[0]
    kept = float(((root @ basis) ** 2).sum() + ((means @ basis) ** 2).sum())
    length = float(np.sqrt(((root @ kernel) ** 2).sum() + ((means @ kernel) ** 2).sum()))
    sketch = np.empty((d, 0))
    if strangers and classes <= LEAST_WIDTH:
        # Scaled by the total variance: few references have none outside the basis.
        sketch = _sketch(np.column_stack([basis, common]))
        sketch *= _OUTSIDE * length / np.sqrt(within + between)
    if common.any():
        part = (_SHARED if whitens else _SHARED_CENTRED) * length
        # No longer than whitening would make it, if embeddings share little.
        longest = 1 / np.sqrt(ridge + (1 - strength) * along) if whitens else 1.0
        scale = min(part / shared, longest)
        kernel = np.concatenate([kernel, scale * common[:, None]], axis=1)
        length = float(np.hypot(length, scale * shared))
    kernel = np.concatenate([kernel, sketch], axis=1)
    largest = np.abs(kernel).argmax(axis=0)  # the sign of an eigenvector is arbitrary: fix it
    kernel *= np.sign(kernel[largest, np.arange(len(largest))]) / (length * photos.length)
    return Projection(
        kernel=kernel.astype(np.float32),
        bias=np.zeros(kernel.shape[1], np.float32),
        variance=kept / (within + between),
        by="classes",
    )


def _sketch(basis: Floats) -> Floats:
    """Random directions (d, m) orthogonal to a basis (d, r), from a fixed seed."""
    d, r = basis.shape
    size = max(min(_SKETCH, d - r), 0)
    drawn = np.random.default_rng(0).standard_normal((d, size)) / np.sqrt(max(size, 1))
    found: Floats = drawn - basis @ (basis.T @ drawn)
    return found


def _strongest(rows: Floats) -> Floats:
    """A few rows that approximate the leading principal directions and variances of (m, d).

    Halko, Martinsson and Tropp, Finding structure with randomness, 2011, algorithm 4.4, with a
    fixed seed.
    """
    size = 2 * LEAST_WIDTH
    if len(rows) <= size:
        return rows
    found = np.random.default_rng(0).standard_normal((rows.shape[1], size))
    for _ in range(3):
        basis = np.linalg.qr(rows @ found)[0]
        found = rows.T @ basis
    return found.T


@dataclass(frozen=True, kw_only=True, eq=False)
class _Inverse:
    """The inverse of S = rootᵀ root + ridge I, by Woodbury's identity, without forming S.

    Attributes:
        root: (m, d).
        ridge: above 0.
        factor: (m, m) of Cholesky's decomposition of root rootᵀ + ridge I.
    """

    root: Floats
    ridge: float
    factor: Floats

    @classmethod
    def of(cls, root: Floats, ridge: float) -> _Inverse:
        inner = root @ root.T + ridge * np.eye(len(root))
        factor: Floats = np.asarray(np.linalg.cholesky(inner), np.float64)
        return cls(root=root, ridge=ridge, factor=factor)

    def __call__(self, rows: Floats) -> Floats:
        """Rows (q, d) times the inverse."""
        from scipy.linalg import cho_solve

        if not len(self.root):
            return rows / self.ridge
        inner = cho_solve((self.factor, True), self.root @ rows.T, check_finite=False)
        solved: Floats = (rows - inner.T @ self.root) / self.ridge
        return solved

    def leading(self, rows: Floats, size: int, beside: Floats) -> Floats:
        """The directions that spread rows (m, d) most, in units of S: kernel (d, at most size).

        Together with the columns of `beside`, its columns K satisfy Kᵀ S K = I.
        """
        from scipy.linalg import eigh

        solved, known = self(rows), rows @ beside
        gram = rows @ solved.T
        whole = float(np.trace(gram))
        gram -= known @ known.T  # leaves only rounding if `beside` already spans the rows
        m = len(gram)
        size = min(size, m)
        spread, vectors = eigh((gram + gram.T) / 2, subset_by_index=[m - size, m - 1])
        spread, vectors = spread[::-1], vectors[:, ::-1]
        real = spread > NOTHING * whole
        turned = vectors[:, real] / np.sqrt(spread[real])
        kernel: Floats = solved.T @ turned - beside @ (known.T @ turned)
        return kernel
