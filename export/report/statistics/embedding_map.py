"""A map of the references, with neighbours close to each other on a plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pocketknn.builder.choices.metrics.cosine import unit
from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.system.blas import one_thread

_MOST = 500  # references that t-SNE places in a second or two
_FEWEST = 30  # too few below this for t-SNE
_WIDTH = 50  # principal components given to t-SNE, as its authors advise
_PERPLEXITY = 30
_STEPS = 500
TSNE = "t-SNE"


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingMap:
    """The positions of references on a plane.

    Attributes:
        rows: (m,) the references; if there are very many, a seeded sample, stratified by class.
        places: (m, 2) positions between 0 and 1.
        method: how they were placed, in words.
    """

    rows: Ints
    places: Floats
    method: str


def embedding_map(fit: Fit, seed: int = 0) -> EmbeddingMap | None:
    """Place the references on a plane; None for fewer than three."""
    rows = _drawn(fit.references.label_ids, len(fit.references), seed)
    if len(rows) < 3:
        return None
    space = fit.space
    vectors = space.project(space.references.vectors[rows])
    if fit.metric.ANGULAR:
        vectors = unit(vectors)
    places, method = _placed(vectors, seed)
    low, high = places.min(axis=0), places.max(axis=0)
    return EmbeddingMap(
        rows=rows, places=(places - low) / np.maximum(high - low, 1e-12), method=method
    )


def roomy(places: Floats, cells: int) -> Ints:
    """Which positions (m, 2), 0 to 1, are nearest to the middle of their cell of a square grid."""
    cell = np.minimum((places * cells).astype(int), cells - 1)
    away = ((places * cells - cell - 0.5) ** 2).sum(axis=1)
    order = np.lexsort((away, cell[:, 1], cell[:, 0]))
    _, first = np.unique(cell[order], axis=0, return_index=True)
    return np.sort(order[first])


def _drawn(label_ids: Ints, n: int, seed: int) -> Ints:
    if n <= _MOST:
        return np.arange(n)
    draw = np.random.default_rng(seed).permutation(n)
    if not len(label_ids):
        return np.sort(draw[:_MOST])
    by_class = draw[np.argsort(label_ids[draw], kind="stable")]
    return np.sort(by_class[np.linspace(0, n - 1, _MOST).astype(int)])


def _placed(vectors: Floats, seed: int) -> tuple[Floats, str]:
    from sklearn.decomposition import PCA

    n, d = vectors.shape
    if not np.ptp(vectors, axis=0).any():
        return np.full((n, 2), 0.5), "all are the same"
    solver = "full" if n <= _MOST and d <= _MOST else "randomized"
    width = min(_WIDTH, n, d)
    components = PCA(width, svd_solver=solver, random_state=seed).fit_transform(vectors)
    if n < _FEWEST or width < 3:
        plane = np.zeros((n, 2))
        plane[:, : min(2, width)] = components[:, :2]
        return plane, "principal components"
    from sklearn import manifold
    from threadpoolctl import threadpool_limits

    start = components[:, :2] / max(components[:, 0].std(), 1e-12) * 1e-4
    model = manifold.TSNE(
        perplexity=min(_PERPLEXITY, (n - 1) / 3),
        init=start,
        max_iter=_STEPS,
        random_state=seed,
    )
    # Its threads only wait for each other on a busy machine.
    with one_thread(), threadpool_limits(1, user_api="openmp"):
        found = model.fit_transform(components)
    return np.asarray(found, np.float64), TSNE
