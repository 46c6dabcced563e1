"""The vote: `probabilities`, the share of each class among the neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.errors import InputError
from pocketknn.builder.neighbors import class_weights
from pocketknn.builder.references import References
from pocketknn.builder.spec import Spec

if TYPE_CHECKING:
    from keras import KerasTensor


def attach(
    scores: KerasTensor,
    indices: KerasTensor,
    references: References,
    spec: Spec,
    exact_hit: float,
) -> dict[str, KerasTensor]:
    """Add `probabilities` (batch, C), which sum to 1, from (batch, k) scores and indices.

    Raises:
        InputError: the references have no labels.
    """
    import keras

    if not references.labels:
        raise InputError("the head 'classify' needs labels; choose the head 'neighbors'")
    # One number per reference, expanded after the top-k: a one-hot table would be N × C.
    # float32 holds class numbers exactly up to 16.7 million.
    table = keras.layers.Embedding(len(references), 1, name="labels", trainable=False)
    numbers = keras.ops.squeeze(table(indices), axis=-1)
    table.set_weights([references.label_ids.astype(np.float32)[:, None]])
    votes = keras.ops.one_hot(keras.ops.cast(numbers, "int32"), len(references.labels))
    if spec.vote == "uniform" and not spec.balanced:
        return {"probabilities": keras.ops.mean(votes, axis=1)}
    if spec.vote == "distance":
        votes = votes * keras.ops.expand_dims(_inverse_distances(scores, exact_hit), -1)
    total = keras.ops.sum(votes, axis=1)
    if spec.balanced:
        weights = class_weights(references.label_ids, len(references.labels))
        total = total * weights.astype(np.float32)
    return {"probabilities": total / keras.ops.sum(total, axis=-1, keepdims=True)}


def _inverse_distances(scores: KerasTensor, exact_hit: float) -> KerasTensor:
    """One over each cosine distance (batch, k); where there are exact hits, 1 for these, else 0."""
    import keras

    ops = keras.ops
    distances = ops.maximum(1.0 - scores, 0.0)
    hits = ops.cast(distances <= exact_hit, "float32")
    any_hit = ops.max(hits, axis=-1, keepdims=True)
    return any_hit * hits + (1.0 - any_hit) / ops.maximum(distances, exact_hit)
