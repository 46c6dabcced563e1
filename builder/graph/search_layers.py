"""The search in the graph: from embeddings to the scores and indices of the nearest references."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.errors import InputError
from pocketknn.builder.index.layout import Index
from pocketknn.builder.knn.exact import METRICS
from pocketknn.builder.knn.metric_space import Space

from . import index_layers
from .index_layers import Constants

if TYPE_CHECKING:
    from keras import KerasTensor

_SMALLEST = 1e-30  # keeps a zero embedding at zero, in float32, instead of 0/0
SPARE = 8  # candidates beyond k, for what the expanded Euclidean form puts out of order


def constants(space: Space, index: Index | None = None) -> Constants:
    """What the search holds of the references; `SPARE` and k decide the rest of it.

    Returns:
        `references`, a row each; `middle` (r,), which the Euclidean search subtracts; `rows` (n,),
        their numbers, for metrics that no product computes. With an index what `indexed.constants`
        gives.
    """
    if index is not None:
        return index_layers.constants(index)
    found: Constants = {"references": space.matrix}
    if space.metric == "euclidean":
        found["middle"] = space.middle
    elif space.metric != "cosine":
        found["rows"] = np.arange(len(space.matrix), dtype=np.int32)
    return found


def nearest(
    embedding: KerasTensor, metric: str, given: Constants, k: int, index: Index | None = None
) -> tuple[KerasTensor, KerasTensor]:
    """Scores (batch, k), descending, and int32 indices of the nearest references.

    Args:
        embedding: (batch, r), projected where the space has a projection.
        metric: one of `neighbors.METRICS`.
        given: what `constants` found.
        k: how many.
        index: decides what is scanned and scored; None compares all references.
    """
    if index is not None:
        return index_layers.nearest(compared(embedding, metric), given, k, index)
    if metric == "euclidean":
        return _by_euclidean(embedding, given, k)
    import keras

    scores, indices = keras.ops.top_k(all_scores(embedding, metric, given), k)
    return scores, indices


def all_scores(embedding: KerasTensor, metric: str, given: Constants) -> KerasTensor:
    """Scores (batch, n) of all references, without a top-k, for what cannot do one.

    Raises:
        InputError: Euclidean distances, which are right only for the few that are selected.
    """
    if metric == "cosine":
        return _cosines(embedding, given)
    if metric == "euclidean":
        raise InputError("the output 'scores' is there for every metric but euclidean")
    return _differences(embedding, metric, given)


def compared(embedding: KerasTensor, metric: str) -> KerasTensor:
    """What of an embedding (batch, r) is compared with the references: of length 1 for cosine."""
    return _unit(embedding) if metric == "cosine" else embedding


def _cosines(embedding: KerasTensor, given: Constants) -> KerasTensor:
    import keras

    matrix = given["references"]
    dense = keras.layers.Dense(len(matrix), use_bias=False, name="references", trainable=False)
    cosines = dense(_unit(embedding))
    dense.set_weights([matrix.T])
    return cosines


def _by_euclidean(
    embedding: KerasTensor, given: Constants, k: int
) -> tuple[KerasTensor, KerasTensor]:
    """One product selects candidates; their distances are computed from differences.

    |x - w|² = |x|² - 2 (x·w - |w|²/2), and |x|² is the same for all references. Near zero that
    form has lost all digits, so it decides neither the scores nor the last place in the list.
    """
    import keras

    ops = keras.ops
    matrix = given["references"]
    moved = embedding - given["middle"]
    table = keras.layers.ReversibleEmbedding(*matrix.shape, name="references", trainable=False)
    ranks = table(ops.concatenate([moved, ops.ones_like(moved[:, :1])], axis=-1), reverse=True)
    table.set_weights([matrix])
    _, candidates = ops.top_k(ranks, min(k + SPARE, len(matrix)))
    # In the order of their indices, so that ties go to the lowest.
    lowest, _ = ops.top_k(-ops.cast(candidates, "float32"), candidates.shape[1])
    candidates = ops.cast(-lowest, "int32")
    differences = table(candidates)[:, :, :-1] - ops.expand_dims(moved, 1)
    distances = ops.sqrt(ops.sum(differences * differences, axis=-1))
    scores, places = ops.top_k(-distances, k)
    return scores, ops.take_along_axis(candidates, places, axis=1)


def _differences(embedding: KerasTensor, metric: str, given: Constants) -> KerasTensor:
    """Negative distances (batch, n)."""
    import keras

    ops = keras.ops
    matrix = given["references"]
    table = keras.layers.Embedding(*matrix.shape, name="references", trainable=False)
    # All rows, asked for by number: a stock layer's weights enter the graph only by its call.
    rows = table(ops.zeros_like(embedding[:, :1], dtype="int32") + given["rows"])
    table.set_weights([matrix])
    differences = ops.abs(rows - ops.expand_dims(embedding, 1))
    order = METRICS[metric]
    if order == 1:
        distances = ops.sum(differences, axis=-1)
    else:
        cubes = differences * differences * differences
        distances = ops.power(ops.sum(cubes, axis=-1), 1 / order)
    return -distances


def _unit(embedding: KerasTensor) -> KerasTensor:
    """Scale each row of (batch, d) to length 1; a row of zeros stays zeros, in every runtime.

    Not `keras.layers.UnitNormalization`: on a zero vector TFLite and Core ML turn it into NaN.
    Dividing by the largest component first keeps the squares within range, whatever the scale.
    """
    import keras

    ops = keras.ops
    largest = ops.max(ops.abs(embedding), axis=-1, keepdims=True)
    scaled = embedding / ops.maximum(largest, _SMALLEST)
    squares = ops.sum(scaled * scaled, axis=-1, keepdims=True)
    return scaled * ops.rsqrt(ops.maximum(squares, 1e-12))
