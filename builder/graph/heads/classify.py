"""The vote: `probabilities`, the share of each class among the neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.knn.exact import class_weights, sharpness

from .weights import by_distance, softened

if TYPE_CHECKING:
    from keras import KerasTensor

    from pocketknn.builder.graph.index_layers import Constants
    from pocketknn.builder.knn.resolve import Fit


def constants(fit: Fit, exact_hit: float) -> Constants:
    """`labels` (n, 1), the class of each reference, and what the vote needs.

    Those are `class_weights` (C,) where classes weigh the same, `exact_hit` where neighbours weigh
    by their scores, `sharpness` of a soft vote, and `threshold` where there is one.
    """
    references, spec = fit.references, fit.spec
    # One number per reference, expanded after the top-k: a one-hot table would be N × C.
    # float32 holds class numbers exactly up to 16.7 million.
    found: Constants = {"labels": references.label_ids.astype(np.float32)[:, None]}
    if spec.balanced:
        weights = class_weights(references.label_ids, len(references.labels))
        found["class_weights"] = weights.astype(np.float32)
    if spec.vote != "uniform":
        found["exact_hit"] = np.array(exact_hit, np.float32)
    if spec.vote == "soft":
        found["sharpness"] = np.array(sharpness(fit.temperature), np.float32)
    if fit.threshold is not None:
        found["threshold"] = np.array(fit.threshold, np.float32)
    return found


def attach(
    scores: KerasTensor, indices: KerasTensor, fit: Fit, given: Constants
) -> dict[str, KerasTensor]:
    """Add `probabilities` (batch, C), which sum to 1, from (batch, k) scores and indices.

    With a threshold there is a last class, unknown, which has them all where even the nearest
    reference is too far.
    """
    import keras

    ops = keras.ops
    votes = _votes(scores, indices, fit, given)
    if "threshold" not in given:
        return {"probabilities": votes}
    known = ops.cast(scores[:, :1] >= float(given["threshold"]), "float32")
    return {"probabilities": ops.concatenate([votes * known, 1.0 - known], axis=-1)}


def _votes(scores: KerasTensor, indices: KerasTensor, fit: Fit, given: Constants) -> KerasTensor:
    import keras

    table = keras.layers.Embedding(len(given["labels"]), 1, name="labels", trainable=False)
    numbers = keras.ops.squeeze(table(indices), axis=-1)
    table.set_weights([given["labels"]])
    votes = keras.ops.one_hot(keras.ops.cast(numbers, "int32"), len(fit.references.labels))
    if fit.spec.vote == "uniform" and not fit.spec.balanced:
        return keras.ops.mean(votes, axis=1)
    if fit.spec.vote != "uniform":
        hit = float(given["exact_hit"])
        if fit.spec.vote == "soft":
            counts = softened(scores, fit.spec.metric, hit, float(given["sharpness"]))
        else:
            counts = by_distance(scores, fit.spec.metric, hit)
        votes = votes * keras.ops.expand_dims(counts, -1)
    total = keras.ops.sum(votes, axis=1)
    if fit.spec.balanced:
        total = total * given["class_weights"]
    return total / keras.ops.sum(total, axis=-1, keepdims=True)
