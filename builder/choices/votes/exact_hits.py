"""Exact hits, neighbours that are the query itself: if there are any, the others do not count."""

from __future__ import annotations

import numpy as np

from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.choices.protocols import KerasTensor, Voting


def first(scores: Floats, voting: Voting, others: Floats) -> Floats:
    """1 for exact hits and 0 for the rest (q, k); queries without a hit keep `others` (q, k)."""
    hits = voting.metric.ITSELF - scores <= voting.exact_hit
    return np.where(hits.any(axis=1, keepdims=True), hits, others)


def attach(
    scores: KerasTensor, voting: Voting, exact_hit: float
) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
    """Distances (batch, k), masks of exact hits (batch, k), and whether there is any (batch, 1)."""
    import keras

    ops = keras.ops
    distances = ops.maximum(1.0 - scores, 0.0) if voting.metric.ANGULAR else -scores
    hits = ops.cast(distances <= exact_hit, "float32")
    return distances, hits, ops.max(hits, axis=-1, keepdims=True)
