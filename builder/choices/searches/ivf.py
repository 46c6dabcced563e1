"""Like `rerank`, but scan only the nearest k-means cells, which have about the same size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.growth import muted
from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.choices.protocols import Constants, KerasTensor, Layer, Making
from pocketknn.builder.errors import InputError

from . import scan
from .index import Cells, Index

SCANS = True
CELLS = True
PAYS = 200_000
WORDS = (
    "{probes} of {cells} cells scanned by {components} components in 8 bits,"
    " the best {candidates} scored"
)
_PENALTY = 1e30  # subtracted from the scores of empty slots; more than any score
_ROOM = 1.3  # slots in a cell, relative to the mean: more is wasted work, less overflows
_PER_CELL = 64  # training references per cell for k-means
_CHOICES = 16  # nearest cells to try for each reference, before any cell will do
_AT_ONCE = 1 << 14  # references compared with all centroids at once


def make(making: Making) -> Index:
    """An index of k-means cells with the scan of `rerank`, and as many probes as the recall needs.

    Raises:
        InputError: too few references for cells, or more probes than cells.
    """
    count = int(4 * np.sqrt(making.n))
    if making.n < 4 * count:
        raise InputError(
            f"the search ivf needs more than {making.n} references; use rerank",
            "too-few-references",
        )
    scan.within("probes", making.probes, 1, count)
    # A third of the misses allowed beyond int8 losses may be due to the scan.
    most = making.most_kept
    flat = scan.cheapest(making, most - (most - making.share) / 3, "ivf")
    one = making.in_cells(flat, count)
    # That many cells hold enough candidates, even if they are the smallest ones.
    minimum = int(np.searchsorted(np.cumsum(one.cell_sizes), one.candidates)) + 1
    scan.within("probes", making.probes, minimum, count)
    before = None if making.probes is not None else making.cells_before(one)
    if before is None:
        return replace(one, probes=making.probes or minimum)
    places = np.where(making.places(flat) < one.candidates, before, count)
    return replace(one, probes=scan.enough(places, making.share, minimum, count) or count)


def bytes_beside(width: int) -> int:
    """The bytes of the scan, including empty slots, and of the row numbers."""
    return int(1.3 * min(128, width)) + 6


def nearest_cells(index: Index, first: Floats) -> Ints:
    """All cells, the nearest first, for each query: (q, C)."""
    assert index.cells is not None
    near = first @ index.cells.centroids.astype(np.float64).T + index.cells.bias
    order: Ints = np.argsort(-near, axis=1, kind="stable")
    return order


def candidates(index: Index, first: Floats, wanted: int) -> Ints:
    """The references that the scan ranks best, from the nearest cells."""
    cells = index.cells
    assert cells is not None
    found = np.full((len(first), wanted), -1, np.int64)
    for number, probed in enumerate(nearest_cells(index, first)[:, : index.probes]):
        members = cells.members[probed].ravel()
        # The graph widens the gathered cells to float32, so the query is not rounded.
        scores = cells.codes[probed].reshape(len(members), -1) @ first[number].astype("f4")
        scores[members < 0] = -np.inf
        order = np.argsort(-scores, kind="stable")[:wanted]
        found[number, : len(order)] = members[order]
    return found


def attach(
    first: KerasTensor,
    given: Constants,
    index: Index,
    table: Layer,
    mute: KerasTensor | None = None,
) -> KerasTensor:
    """Like `candidates`, but in the graph."""
    import keras

    ops, layers = keras.ops, keras.layers
    count, room = given["members"].shape
    width = given["centroids"].shape[1]
    dense = layers.Dense(count, name="centroids", trainable=False)
    _, probed = ops.top_k(dense(first), index.probes)
    dense.set_weights([given["centroids"].T, given["closeness"]])
    cells = layers.Embedding(*given["cells"].shape, name="cells", trainable=False)
    numbers = layers.Embedding(count, room, name="members", trainable=False)
    scanned = index.probes * room
    codes = ops.reshape(cells(probed), (-1, scanned, width))
    members = ops.reshape(numbers(probed), (-1, scanned))
    cells.set_weights([given["cells"]])
    numbers.set_weights([given["members"]])
    ranks = ops.squeeze(ops.matmul(codes, ops.expand_dims(first, -1)), -1)
    # Not an addition: a quantiser would mistake it for one of the backbone's and round it to int8.
    penalty = ops.cast(members < 0.0, "float32") * _PENALTY
    rows = ops.cast(ops.maximum(members, 0.0), "int32") if mute is not None else None
    _, places = ops.top_k(muted(ranks - penalty, mute, rows), index.candidates)
    return ops.cast(ops.take_along_axis(members, places, axis=1), "int32")


def cells_of(scan: NDArray[np.int8], offset: Floats, count: int, seed: int) -> Cells:
    """Divide the rows of a scan (n, w) into cells.

    Args:
        scan: the rows.
        offset: (w,) the rotated mean of all references, which is the origin of the scan.
        count: how many cells.
        seed: random seed.
    """
    from sklearn.cluster import MiniBatchKMeans

    n, w = scan.shape
    draw = np.random.default_rng(seed)
    some = np.sort(draw.choice(n, min(n, _PER_CELL * count), replace=False))
    learned = MiniBatchKMeans(
        count, init="random", n_init=1, max_iter=20, batch_size=4096, random_state=seed
    ).fit(scan[some].astype(np.float32))
    centroids = learned.cluster_centers_.astype(np.float32)
    room = int(np.ceil(_ROOM * n / count))
    cell = _balanced(scan, centroids, room)
    order = np.argsort(cell, kind="stable")  # row order within a cell, so ties go to the lower row
    sizes = np.bincount(cell, minlength=count)
    place = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    members = np.full((count, room), -1, np.int32)
    members[cell[order], place] = order
    codes = np.zeros((count, room, w), np.int8)
    codes[cell[order], place] = scan[order]
    # Recompute the means, as the members are not quite those of k-means.
    middles = codes.sum(axis=1, dtype=np.float64) / np.maximum(sizes, 1)[:, None]
    centroids = np.where((sizes > 0)[:, None], middles, centroids).astype(np.float32)
    # |q - c|² = |q|² - 2 (q·c - |c|²/2), with q and c relative to the offset.
    bias = -(centroids @ offset) - (centroids.astype(np.float64) ** 2).sum(axis=1) / 2
    return Cells(centroids, bias.astype(np.float32), codes, members)


def _balanced(scan: NDArray[np.int8], centroids: NDArray[np.float32], room: int) -> Ints:
    """The cell of each row: the nearest with a free slot; the closest rows choose first."""
    n, count = len(scan), len(centroids)
    choices = min(_CHOICES, count)
    half = (centroids.astype(np.float64) ** 2).sum(axis=1).astype(np.float32) / 2
    offered = np.empty((n, choices), np.int32)
    closeness = np.empty((n, choices), np.float32)
    for start in range(0, n, _AT_ONCE):
        near = scan[start : start + _AT_ONCE].astype(np.float32) @ centroids.T - half
        best = np.argpartition(-near, choices - 1, axis=1)[:, :choices]
        values = np.take_along_axis(near, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        offered[start : start + len(near)] = np.take_along_axis(best, order, axis=1)
        closeness[start : start + len(near)] = np.take_along_axis(values, order, axis=1)
    cell = np.full(n, -1, np.int64)
    left = np.full(count, room)
    for turn in range(choices):
        waiting = np.flatnonzero(cell < 0)
        wish = offered[waiting, turn]
        order = np.lexsort((-closeness[waiting, turn], wish))
        sizes = np.bincount(wish, minlength=count)
        place = np.arange(len(waiting)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        taken = order[place < left[wish[order]]]
        cell[waiting[taken]] = wish[taken]
        left -= np.bincount(wish[taken], minlength=count)
    unplaced = np.flatnonzero(cell < 0)
    cell[unplaced] = np.repeat(np.arange(count), left)[: len(unplaced)]
    return cell
