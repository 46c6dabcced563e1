"""The mean: `value`, what the neighbours' numeric targets say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .weights import by_distance

if TYPE_CHECKING:
    from keras import KerasTensor

    from pocketknn.builder.graph.index_layers import Constants
    from pocketknn.builder.knn.resolve import Fit


def constants(fit: Fit, exact_hit: float) -> Constants:
    """`targets` (n, T), and `exact_hit` where neighbours weigh by distance."""
    found: Constants = {"targets": fit.references.targets}
    if fit.spec.vote == "distance":
        found["exact_hit"] = np.array(exact_hit, np.float32)
    return found


def attach(
    scores: KerasTensor, indices: KerasTensor, fit: Fit, given: Constants
) -> dict[str, KerasTensor]:
    """Add `value` (batch, T), the weighted mean of the targets, from (batch, k) neighbours."""
    import keras

    targets = given["targets"]
    table = keras.layers.Embedding(*targets.shape, name="targets", trainable=False)
    near = table(indices)
    table.set_weights([targets])
    if fit.spec.vote == "uniform":
        return {"value": keras.ops.mean(near, axis=1)}
    # Shares, not weights: a weight of an exact hit times a large target would overflow.
    counts = by_distance(scores, fit.spec.metric, float(given["exact_hit"]))
    shares = counts / keras.ops.sum(counts, axis=-1, keepdims=True)
    return {"value": keras.ops.sum(near * keras.ops.expand_dims(shares, -1), axis=1)}
