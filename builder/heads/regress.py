"""The mean: `value`, what the neighbours' numeric targets say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .weights import by_distance

if TYPE_CHECKING:
    from keras import KerasTensor

    from pocketknn.builder.fit import Fit


def attach(
    scores: KerasTensor, indices: KerasTensor, fit: Fit, exact_hit: float
) -> dict[str, KerasTensor]:
    """Add `value` (batch, T), the weighted mean of the targets, from (batch, k) neighbours."""
    import keras

    targets = fit.references.targets
    table = keras.layers.Embedding(*targets.shape, name="targets", trainable=False)
    near = table(indices)
    table.set_weights([targets])
    if fit.spec.vote == "uniform":
        return {"value": keras.ops.mean(near, axis=1)}
    # Shares, not weights: a weight of an exact hit times a large target would overflow.
    counts = by_distance(scores, fit.spec.metric, exact_hit)
    shares = counts / keras.ops.sum(counts, axis=-1, keepdims=True)
    return {"value": keras.ops.sum(near * keras.ops.expand_dims(shares, -1), axis=1)}
