"""How much each neighbour counts, in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras import KerasTensor


def softened(scores: KerasTensor, metric: str, exact_hit: float, sharpness: float) -> KerasTensor:
    """exp(score × sharpness) of each neighbour (batch, k), as a share of the nearest one's.

    Where there are exact hits, 1 for these, else 0.
    """
    import keras

    ops = keras.ops
    hits, any_hit = _hits(_distances(scores, metric), exact_hit)
    # The first is the nearest. The product of differences keeps their digits, however sharp.
    shares = ops.exp((scores - scores[:, :1]) * sharpness)
    return ops.maximum(hits, (1.0 - any_hit) * shares)


def by_distance(scores: KerasTensor, metric: str, exact_hit: float) -> KerasTensor:
    """One over each distance (batch, k); where there are exact hits, 1 for these, else 0."""
    import keras

    ops = keras.ops
    distances = _distances(scores, metric)
    hits, any_hit = _hits(distances, exact_hit)
    # One of the two is 0. Not a sum: those a quantiser takes for a backbone's, and rounds to bytes.
    return ops.maximum(hits, (1.0 - any_hit) / ops.maximum(distances, exact_hit))


def _distances(scores: KerasTensor, metric: str) -> KerasTensor:
    import keras

    return keras.ops.maximum(1.0 - scores, 0.0) if metric == "cosine" else -scores


def _hits(distances: KerasTensor, exact_hit: float) -> tuple[KerasTensor, KerasTensor]:
    """Which neighbours are exact hits (batch, k), and whether there are any (batch, 1)."""
    import keras

    hits = keras.ops.cast(distances <= exact_hit, "float32")
    return hits, keras.ops.max(hits, axis=-1, keepdims=True)
