"""How much each neighbour counts, in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras import KerasTensor


def by_distance(scores: KerasTensor, metric: str, exact_hit: float) -> KerasTensor:
    """One over each distance (batch, k); where there are exact hits, 1 for these, else 0."""
    import keras

    ops = keras.ops
    distances = ops.maximum(1.0 - scores, 0.0) if metric == "cosine" else -scores
    hits = ops.cast(distances <= exact_hit, "float32")
    any_hit = ops.max(hits, axis=-1, keepdims=True)
    # One of the two is 0. Not a sum: those a quantiser takes for a backbone's, and rounds to bytes.
    return ops.maximum(hits, (1.0 - any_hit) / ops.maximum(distances, exact_hit))
