"""Principal components: one dense layer before the references that shortens embeddings."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.errors import InputError
from pocketknn.builder.system.blas import in_order
from pocketknn.builder.wording import counted

# Minimum variance for whitening, as a share of the largest: smaller components come from rounding
# in the backbone, and must not be scaled up to the others.
_MIN_VARIANCE = 1e-6
_BLOCK = 1024  # rows converted to float64 at once, on each core

F = TypeVar("F", np.float32, np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """An affine map from embeddings (d) to fewer values (r), as the graph's dense layer holds it.

    Attributes:
        kernel: (d, r) float32, principal components as columns, scaled if whitened.
        bias: (r,) float32, moves the mean of the references to zero.
        variance: share of the references' variance that is kept, before any whitening.
        by: the method: `pca`, or `classes`.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    variance: float
    by: str = "pca"

    @property
    def rank(self) -> int:
        """How many of the r values are not always zero."""
        return int(self.kernel.any(axis=0).sum())

    def padded(self, width: int) -> Projection:
        """The same with columns of zeros appended, which change no distance."""
        more = width - len(self.bias)
        kernel, bias = np.pad(self.kernel, ((0, 0), (0, more))), np.pad(self.bias, (0, more))
        return replace(self, kernel=kernel, bias=bias)

    def __call__(self, embeddings: NDArray[np.floating], rows: Ints | None = None) -> Floats:
        """Project embeddings (n, d), or some rows (q,) of them, to (q, r) in float64."""
        return self._moved(embeddings, rows, np.float64)

    def in_float32(
        self, embeddings: NDArray[np.floating], rows: Ints | None = None
    ) -> NDArray[np.float32]:
        """The same in float32, in half the time: for statistics of very many references."""
        return self._moved(embeddings, rows, np.float32)

    def _moved(
        self, embeddings: NDArray[np.floating], rows: Ints | None, kind: type[F]
    ) -> NDArray[F]:
        moved = np.empty((len(embeddings) if rows is None else len(rows), len(self.bias)), kind)

        def move(start: int) -> None:
            block = slice(start, start + _BLOCK)
            some = embeddings[block if rows is None else rows[block]]
            np.matmul(np.asarray(some, kind), self.kernel, out=moved[block])
            moved[block] += self.bias

        deque(in_order(move, range(0, len(moved), _BLOCK)), maxlen=0)
        return moved


@dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """The result of scikit-learn's `PCA`, the largest component first.

    Attributes:
        axes: (d, r) unit vectors as columns.
        mean: (d,) of the references.
        variances: (r,) of the references along each axis.
        shares: (r,) the same, as shares of the total variance.
    """

    axes: Floats
    mean: Floats
    variances: Floats
    shares: Floats

    def projection(self, size: int, whiten: float = 0.0) -> Projection:
        """The first components as one dense layer.

        Args:
            size: how many.
            whiten: the power p. The component of variance v is multiplied by (largest v / v)^(p/2):
                0 changes nothing, 1 gives all the same variance, as scikit-learn's `whiten=True` up
                to a common factor. The first component keeps its scale.
        """
        variances = self.variances[:size]
        shares = np.maximum(variances / variances[0], _MIN_VARIANCE)
        kernel = (self.axes[:, :size] * shares ** (-whiten / 2)).astype(np.float32)
        return Projection(
            kernel=kernel,
            bias=(-self.mean @ kernel.astype(np.float64)).astype(np.float32),
            variance=float(self.shares[:size].sum()),
        )


def check_size(size: int | float, n: int, d: int) -> None:
    """Check that n references of d values have that many components.

    Raises:
        InputError: more than min(n, d).
    """
    if isinstance(size, int) and size > min(n, d):
        raise InputError(
            f"{size} principal components are too many: {counted(n, 'reference')} of"
            f" {counted(d, 'value')} {'has' if n == 1 else 'have'} only {min(n, d)}",
            "pca-too-large",
        )


def components(vectors: NDArray[np.floating], size: int | float) -> Components:
    """Principal components of (n, d), as scikit-learn's `PCA` finds them.

    Args:
        vectors: the references' embeddings.
        size: how many components, or, as a float below 1, the share of variance to keep.

    Raises:
        InputError: more components than min(n, d), or no variance.
    """
    from sklearn.decomposition import PCA

    n, d = vectors.shape
    check_size(size, n, d)
    rows = vectors.astype(np.float64)
    if n < 2 or not np.ptp(rows, axis=0).any():
        raise InputError(
            "all references are the same, so they have no principal components", "equal-embeddings"
        )
    # A deterministic solver; the covariance is cheaper if rows outnumber columns.
    solver = "covariance_eigh" if n > d else "full"
    found = PCA(size, svd_solver=solver).fit(rows)
    return Components(
        axes=found.components_.T,
        mean=found.mean_,
        variances=found.explained_variance_,
        shares=found.explained_variance_ratio_,
    )


def pca(vectors: NDArray[np.floating], size: int | float, whiten: float = 0.0) -> Projection:
    """Principal components of (n, d) as a projection.

    Args:
        vectors: the references' embeddings.
        size: how many components, or, as a float below 1, the share of variance to keep.
        whiten: as for `Components.projection`.

    Raises:
        InputError: more components than min(n, d), or no variance.
    """
    found = components(vectors, size)
    return found.projection(len(found.variances), whiten)
