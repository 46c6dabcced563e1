"""Euclidean: one product selects candidates; their distances are computed from differences.

|x - w|² = |x|² - 2 (x·w - |w|²/2), and |x|² is the same for all references. Near zero that form
loses all precision, so it determines neither the scores nor the last of the k neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.growth import muted
from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.choices.protocols import Constants, KerasTensor, Rows
from pocketknn.builder.errors import InputError

ANGULAR = False
BY_PRODUCT = True
SPARE = 8
ITSELF = 0.0
SCORE = "negative euclidean distance"
EXACT_HIT: Mapping[str, float] = {"float32": 1e-6, "float16": 1e-2, "int8": 5e-2}


def scores(queries: NDArray[np.floating], references: NDArray[np.floating]) -> Floats:
    """Negative distance of each query (q, d) to each reference (n, d): (q, n)."""
    from scipy.spatial.distance import cdist

    found: Floats = -cdist(np.asarray(queries, np.float64), np.asarray(references, np.float64))
    return found


def ranking(rows: Floats) -> Callable[[Floats], Floats]:
    """Products that rank like distances; computing all differences would take d times as long."""
    half = (rows * rows).sum(axis=1) / 2
    return lambda queries: np.asarray(queries @ rows.T - half)


def constants(rows: Rows) -> Constants:
    """`references` (n, r + 1) and `middle` (r,), which the graph subtracts.

    The rows of `references` are centred on `middle`, which changes no distance, and end with minus
    half their squared length, so that their product with an embedding followed by a 1 ranks like
    the distance.
    """
    moved = rows.matrix - rows.middle  # in float32, as in the graph, so that exact hits are exact
    half = -(moved.astype(np.float64) ** 2).sum(axis=1, keepdims=True) / 2
    matrix = np.concatenate([moved, half.astype(np.float32)], axis=1)
    return {"references": matrix, "middle": rows.middle}


def nearest(
    embedding: KerasTensor, given: Constants, k: int, mute: KerasTensor | None = None
) -> tuple[KerasTensor, KerasTensor]:
    """The k nearest, chosen from a few more candidates."""
    import keras

    ops = keras.ops
    matrix = given["references"]
    moved = embedding - given["middle"]
    table = keras.layers.ReversibleEmbedding(*matrix.shape, name="references", trainable=False)
    ranks = table(ops.concatenate([moved, ops.ones_like(moved[:, :1])], axis=-1), reverse=True)
    table.set_weights([matrix])
    _, candidates = ops.top_k(muted(ranks, mute), min(k + SPARE, len(matrix)))
    # Sort by index, so that ties go to the lowest.
    lowest, _ = ops.top_k(-ops.cast(candidates, "float32"), candidates.shape[1])
    candidates = ops.cast(-lowest, "int32")
    differences = table(candidates)[:, :, :-1] - ops.expand_dims(moved, 1)
    distances = ops.sqrt(ops.sum(differences * differences, axis=-1))
    scores, places = ops.top_k(muted(-distances, mute, candidates), k)
    return scores, ops.take_along_axis(candidates, places, axis=1)


def taught_scores(embedding: KerasTensor, rows: KerasTensor) -> KerasTensor:
    """Negative distances, from differences."""
    import keras

    ops = keras.ops
    differences = ops.expand_dims(embedding, 1) - rows[:, : embedding.shape[1]]
    return -ops.sqrt(ops.sum(differences * differences, axis=-1))


def all_scores(embedding: KerasTensor, given: Constants) -> KerasTensor:
    """Not available: exact distances exist only for the selected candidates."""
    raise InputError(
        "the output 'scores' is available for every metric except euclidean", "scores-not-available"
    )
