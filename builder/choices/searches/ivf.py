"""As `rerank`, but only the nearest cells of k-means are scanned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.choices.protocols import Constants, KerasTensor, Layer, Making
from pocketknn.builder.errors import InputError

from . import scan
from .index import Index

SCANS = True
CELLS = True
PAYS = 200_000
WORDS = (
    "{probes} of {cells} cells scanned by {components} components in 8 bits,"
    " the best {candidates} scored"
)
_NOBODY = 1e30  # more than any score: what the empty places of a cell lose


def make(making: Making) -> Index:
    """Cells over the scan that `rerank` would take, with the probes that are needed.

    Raises:
        InputError: too few references for cells, or probes that no cells are there for.
    """
    count = int(4 * np.sqrt(making.n))
    if making.n < 4 * count:
        raise InputError(
            f"the search ivf is for many references, and there are {making.n}; take rerank"
        )
    scan.within("probes", making.probes, 1, count)
    # Of what may be missed, beyond what bytes lose, the scan gets a third and cells the rest.
    most = making.most_kept
    flat = scan.cheapest(making, most - (most - making.share) / 3, "ivf")
    one = making.in_cells(flat, count)
    # Whatever cells are the nearest, there must be as many references in them.
    least = int(np.searchsorted(np.cumsum(one.cell_sizes), one.candidates)) + 1
    scan.within("probes", making.probes, least, count)
    before = None if making.probes is not None else making.cells_before(one)
    if before is None:
        return replace(one, probes=making.probes or least)
    places = np.where(making.places(flat) < one.candidates, before, count)
    return replace(one, probes=scan.enough(places, making.share, least, count) or count)


def bytes_beside(width: int) -> int:
    """The scan with the empty places of its cells, and who is in them."""
    return int(1.3 * min(128, width)) + 6


def nearest_cells(index: Index, first: Floats) -> Ints:
    """All cells, the nearest first, for each query of the scan: (q, C)."""
    assert index.cells is not None
    near = first @ index.cells.centroids.astype(np.float64).T + index.cells.bias
    order: Ints = np.argsort(-near, axis=1, kind="stable")
    return order


def candidates(index: Index, first: Floats, wanted: int) -> Ints:
    """The best of the nearest cells."""
    cells = index.cells
    assert cells is not None
    found = np.full((len(first), wanted), -1, np.int64)
    for number, probed in enumerate(nearest_cells(index, first)[:, : index.probes]):
        members = cells.members[probed].ravel()
        # The cells are gathered and widened, so here the query keeps its digits.
        scores = cells.codes[probed].reshape(len(members), -1) @ first[number].astype("f4")
        scores[members < 0] = -np.inf
        order = np.argsort(-scores, kind="stable")[:wanted]
        found[number, : len(order)] = members[order]
    return found


def attach(first: KerasTensor, given: Constants, index: Index, table: Layer) -> KerasTensor:
    """The same in the graph."""
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
