"""Principal components: embeddings made shorter by one dense layer before the references."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .neighbors import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """An affine map from embeddings (d) to fewer values (r), as the graph's dense layer holds it.

    Attributes:
        kernel: (d, r) float32, principal components as columns.
        bias: (r,) float32: what moves the mean of the references to zero.
        variance: share of the references' variance that is kept.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    variance: float

    def __call__(self, embeddings: NDArray[np.floating]) -> Floats:
        """Project embeddings (q, d) to (q, r), in float64."""
        moved: Floats = np.asarray(embeddings, np.float64) @ self.kernel + self.bias
        return moved


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


def pca(vectors: NDArray[np.floating], size: int | float) -> Projection:
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
    kernel = found.components_.T.astype(np.float32)
    return Projection(
        kernel=kernel,
        bias=(-found.mean_ @ kernel.astype(np.float64)).astype(np.float32),
        variance=float(found.explained_variance_ratio_.sum()),
    )
