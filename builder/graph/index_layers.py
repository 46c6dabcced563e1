"""The search of an index in the graph: scan, take the best, score these at stored precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pocketknn.builder.choices.growth import muted
from pocketknn.builder.choices.protocols import Constants
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.choices.searches.index import Index

if TYPE_CHECKING:
    from keras import KerasTensor

_LIMIT = 1e30  # more than any score


def nearest(
    query: KerasTensor,
    given: Constants,
    k: int,
    index: Index,
    mute: KerasTensor | None = None,
) -> tuple[KerasTensor, KerasTensor]:
    """Scores (batch, k), descending, and int32 indices of the nearest references.

    Args:
        query: (batch, r) of unit length.
        given: the index's `constants`.
        k: how many neighbours.
        index: only its search and its number of candidates are used.
        mute: (n,) to subtract from the scores of the references; None to subtract nothing.
    """
    import keras

    ops = keras.ops
    # New in Keras 3.12: no older layer uses the same weights for a product and to look up rows.
    table = keras.layers.ReversibleEmbedding(
        *given["references"].shape, name="references", trainable=False
    )
    stepped = query
    if "steps" in given:
        # The limit is never reached. Without it TFLite's converter would multiply the steps into
        # the references.
        stepped = ops.minimum(query * given["steps"], _LIMIT)
    first = stepped
    if "rotation" in given:
        turn = keras.layers.Dense(
            given["rotation"].shape[1], use_bias=False, name="rotation", trainable=False
        )
        first = turn(query)
        turn.set_weights([given["rotation"]])
    if not index.candidates:  # float products need no second scoring
        scores, candidates = ops.top_k(muted(table(first, reverse=True), mute), k)
        table.set_weights([given["references"]])
        return scores, candidates
    candidates = SEARCHES[index.search].attach(first, given, index, table, mute)
    # The scan ranked copies of a reference by row number, so ties go to the lower one.
    rows = table(candidates)
    table.set_weights([given["references"]])
    scored = ops.sum(rows * ops.expand_dims(stepped, 1), axis=-1)
    if "offset" in given:
        # Subtract: Keras' add would take (batch, 1) for a bias if batch equals the candidates.
        scored = scored - ops.sum(query * given["offset"], axis=-1, keepdims=True)
    # Where fewer than the candidates are left, some of these are muted.
    scores, places = ops.top_k(muted(scored, mute, candidates), k)
    return scores, ops.take_along_axis(candidates, places, axis=1)
