"""Principal components: embeddings made shorter by one dense layer before the references."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.errors import InputError

# Variances below this share of the largest are scaled as if they were so large: rounding in the
# backbone makes such components, and whitening must not put them beside the others.
_LEAST_VARIANCE = 1e-6
_BLOCK = 4096  # rows that are made float64 at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """An affine map from embeddings (d) to fewer values (r), as the graph's dense layer holds it.

    Attributes:
        kernel: (d, r) float32, principal components as columns, scaled where they are whitened.
        bias: (r,) float32: what moves the mean of the references to zero.
        variance: share of the references' variance that is kept, before any whitening.
        by: what it was found by: `pca`, or `classes`.
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
        """The same with columns of zeros behind the others, which change no distance."""
        more = width - len(self.bias)
        kernel, bias = np.pad(self.kernel, ((0, 0), (0, more))), np.pad(self.bias, (0, more))
        return replace(self, kernel=kernel, bias=bias)

    def __call__(self, embeddings: NDArray[np.floating]) -> Floats:
        """Project embeddings (q, d) to (q, r), in float64."""
        moved = np.empty((len(embeddings), len(self.bias)))
        for start in range(0, len(moved), _BLOCK):  # all in float64 would be two copies of them
            block = slice(start, start + _BLOCK)
            moved[block] = np.asarray(embeddings[block], np.float64) @ self.kernel + self.bias
        return moved


@dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """What scikit-learn's `PCA` finds, the largest component first.

    Attributes:
        axes: (d, r) unit vectors as columns.
        mean: (d,) of the references.
        variances: (r,) of the references along each axis.
        shares: (r,) the same, as shares of all their variance.
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
                0 leaves it, 1 gives all the same variance, as scikit-learn's `whiten=True` does but
                for one factor common to all. The first component keeps its scale.
        """
        variances = self.variances[:size]
        shares = np.maximum(variances / variances[0], _LEAST_VARIANCE)
        kernel = (self.axes[:, :size] * shares ** (-whiten / 2)).astype(np.float32)
        return Projection(
            kernel=kernel,
            bias=(-self.mean @ kernel.astype(np.float64)).astype(np.float32),
            variance=float(self.shares[:size].sum()),
        )


def check_size(size: int | float, n: int, d: int) -> None:
    """Refuse a number of components that n references of d values do not have.

    Raises:
        InputError: more than min(n, d).
    """
    if isinstance(size, int) and size > min(n, d):
        raise InputError(
            f"{n} references of {d} values have {min(n, d)} principal components,"
            f" so they cannot be projected to {size}"
        )


def components(vectors: NDArray[np.floating], size: int | float) -> Components:
    """Principal components of (n, d), as scikit-learn's `PCA` finds them.

    Args:
        vectors: the references' embeddings.
        size: how many components, or, as a float below 1, the share of variance to keep.

    Raises:
        InputError: more components than min(n, d), or no variance to share out.
    """
    from sklearn.decomposition import PCA

    n, d = vectors.shape
    check_size(size, n, d)
    rows = vectors.astype(np.float64)
    if n < 2 or not np.ptp(rows, axis=0).any():
        raise InputError("all references are the same, so they have no principal components")
    # The solver that is the same each time; the covariance is cheaper where rows outnumber columns.
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
        InputError: more components than min(n, d), or no variance to share out.
    """
    found = components(vectors, size)
    return found.projection(len(found.variances), whiten)
