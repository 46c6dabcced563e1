"""The search of an index in the graph: scan, take the best, score these as they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.index.layout import Index

if TYPE_CHECKING:
    from keras import KerasTensor

Constants = dict[str, NDArray[Any]]  # by name: what of a graph depends on the references
LARGE = ("references", "scan", "cells")  # the constants that have a row for each reference
_NOBODY = 1e30  # more than any score: what the empty places of a cell lose


def constants(index: Index) -> Constants:
    """What an index holds of the references; k and its numbers decide the rest of the search.

    In the graph all are float32. Files hold `references`, `scan` and `cells` in the type that they
    have here: a float32 tells every float16 and every byte exactly.

    Returns:
        `references` (n, r); `steps` and `offset` (r,), what codes of references mean: the offset is
        minus their middle; `rotation` (r, w); `scan` (n, w); or `cells` (C, room × w), `members`
        (C, room), -1 for nobody, and `centroids` (C, w) with their `closeness` (C,).
    """
    found: Constants = {"references": index.table}
    if index.codes is not None:
        found |= {"steps": index.codes.steps, "offset": -index.codes.middle}
    if index.rotation is not None:
        found["rotation"] = index.rotation
    if index.scan is not None:
        found["scan"] = index.scan
    if (cells := index.cells) is not None:
        found["cells"] = cells.codes.reshape(len(cells.codes), -1)
        found["members"] = cells.members.astype(np.float32)
        found |= {"centroids": cells.centroids, "closeness": cells.bias}
    return found


def nearest(
    query: KerasTensor, given: Constants, k: int, index: Index
) -> tuple[KerasTensor, KerasTensor]:
    """Scores (batch, k), descending, and int32 indices of the nearest references.

    Args:
        query: (batch, r) of unit length.
        given: what `constants` found.
        k: how many.
        index: of its numbers only those of candidates and probes count.
    """
    import keras

    ops = keras.ops
    table = keras.layers.ReversibleEmbedding(
        *given["references"].shape, name="references", trainable=False
    )
    stepped = query
    if "steps" in given:
        # The limit is never reached. Without it TFLite's converter would multiply the steps into
        # the references.
        stepped = ops.minimum(query * given["steps"], _NOBODY)
    first = stepped
    if "rotation" in given:
        turn = keras.layers.Dense(
            given["rotation"].shape[1], use_bias=False, name="rotation", trainable=False
        )
        first = turn(query)
        turn.set_weights([given["rotation"]])
    if "cells" in given:
        candidates = _in_cells(first, given, index)
    elif "scan" in given:
        scan = keras.layers.Dense(len(given["scan"]), use_bias=False, name="scan", trainable=False)
        _, candidates = ops.top_k(scan(first), index.candidates)
        scan.set_weights([given["scan"].T])
    else:
        scores, candidates = ops.top_k(table(first, reverse=True), index.candidates or k)
        if not index.candidates:  # nothing is lost by the first product
            table.set_weights([given["references"]])
            return scores, candidates
    # Copies of a reference have been ranked by their numbers, so ties go to the lower one.
    rows = table(candidates)
    table.set_weights([given["references"]])
    scored = ops.sum(rows * ops.expand_dims(stepped, 1), axis=-1)
    if "offset" in given:
        # Not a sum: Keras' add takes (batch, 1) for a bias where batch is the number of candidates.
        scored = scored - ops.sum(query * given["offset"], axis=-1, keepdims=True)
    scores, places = ops.top_k(scored, k)
    return scores, ops.take_along_axis(candidates, places, axis=1)


def _in_cells(first: KerasTensor, given: Constants, index: Index) -> KerasTensor:
    """Numbers of the references (batch, candidates) that the nearest cells rank best."""
    import keras

    ops, layers = keras.ops, keras.layers
    count, room = given["members"].shape
    width = given["centroids"].shape[1]
    dense = layers.Dense(count, name="centroids", trainable=False)
    _, probed = ops.top_k(dense(first), index.probes)
    dense.set_weights([given["centroids"].T, given["closeness"]])
    cells = layers.Embedding(*given["cells"].shape, name="cells", trainable=False)
    who = layers.Embedding(count, room, name="members", trainable=False)
    scanned = index.probes * room
    codes = ops.reshape(cells(probed), (-1, scanned, width))
    members = ops.reshape(who(probed), (-1, scanned))
    cells.set_weights([given["cells"]])
    who.set_weights([given["members"]])
    ranks = ops.squeeze(ops.matmul(codes, ops.expand_dims(first, -1)), -1)
    # Not a sum, which a quantiser would take for one of the backbone's and round to bytes.
    nobody = ops.cast(members < 0.0, "float32") * _NOBODY
    _, places = ops.top_k(ranks - nobody, index.candidates)
    return ops.cast(ops.take_along_axis(members, places, axis=1), "int32")
