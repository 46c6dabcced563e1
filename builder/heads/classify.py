"""The vote: `probabilities`, the share of each class among the neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.neighbors import class_weights

from .weights import by_distance

if TYPE_CHECKING:
    from keras import KerasTensor

    from pocketknn.builder.fit import Fit


def attach(
    scores: KerasTensor, indices: KerasTensor, fit: Fit, exact_hit: float
) -> dict[str, KerasTensor]:
    """Add `probabilities` (batch, C), which sum to 1, from (batch, k) scores and indices.

    With a threshold there is a last class, unknown, which has them all where even the nearest
    reference is too far.
    """
    import keras

    ops = keras.ops
    votes = _votes(scores, indices, fit, exact_hit)
    if fit.threshold is None:
        return {"probabilities": votes}
    known = ops.cast(scores[:, :1] >= float(np.float32(fit.threshold)), "float32")
    return {"probabilities": ops.concatenate([votes * known, 1.0 - known], axis=-1)}


def _votes(scores: KerasTensor, indices: KerasTensor, fit: Fit, exact_hit: float) -> KerasTensor:
    import keras

    references, spec = fit.references, fit.spec
    # One number per reference, expanded after the top-k: a one-hot table would be N × C.
    # float32 holds class numbers exactly up to 16.7 million.
    table = keras.layers.Embedding(len(references), 1, name="labels", trainable=False)
    numbers = keras.ops.squeeze(table(indices), axis=-1)
    table.set_weights([references.label_ids.astype(np.float32)[:, None]])
    votes = keras.ops.one_hot(keras.ops.cast(numbers, "int32"), len(references.labels))
    if spec.vote == "uniform" and not spec.balanced:
        return keras.ops.mean(votes, axis=1)
    if spec.vote == "distance":
        counts = by_distance(scores, spec.metric, exact_hit)
        votes = votes * keras.ops.expand_dims(counts, -1)
    total = keras.ops.sum(votes, axis=1)
    if spec.balanced:
        weights = class_weights(references.label_ids, len(references.labels))
        total = total * weights.astype(np.float32)
    return total / keras.ops.sum(total, axis=-1, keepdims=True)
