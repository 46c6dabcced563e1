"""Cells: references in groups of neighbours of about the same size, found by k-means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints

from .index import Cells

_ROOM = 1.3  # of a cell, as a multiple of the mean: more is scanned in vain, less spills over
_PER_CELL = 64  # references that k-means learns each cell from
_CHOICES = 16  # cells that a reference is offered, the nearest first, before it takes any
_AT_ONCE = 1 << 14  # references that are held against all centroids at once


def cells_of(scan: NDArray[np.int8], offset: Floats, count: int, seed: int) -> Cells:
    """Put every row of a scan (n, w) into one of so many cells.

    Args:
        scan: the rows.
        offset: (w,) what a query's first components are when it is the mean of all references; the
            scan is counted from there.
        count: how many cells.
        seed: draws the rows that the middles are learned from.
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
    order = np.argsort(cell, kind="stable")  # by rows within a cell: ties go to the lower one
    sizes = np.bincount(cell, minlength=count)
    place = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    members = np.full((count, room), -1, np.int32)
    members[cell[order], place] = order
    codes = np.zeros((count, room, w), np.int8)
    codes[cell[order], place] = scan[order]
    # What is in a cell is not quite what its middle was learned from.
    middles = codes.sum(axis=1, dtype=np.float64) / np.maximum(sizes, 1)[:, None]
    centroids = np.where((sizes > 0)[:, None], middles, centroids).astype(np.float32)
    # |q - c|² = |q|² - 2 (q·c - |c|²/2), for q counted from the same offset as c.
    bias = -(centroids @ offset) - (centroids.astype(np.float64) ** 2).sum(axis=1) / 2
    return Cells(centroids, bias.astype(np.float32), codes, members)


def _balanced(scan: NDArray[np.int8], centroids: NDArray[np.float32], room: int) -> Ints:
    """The cell of each row: the nearest that has room, those that are nearest to it first."""
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
    homeless = np.flatnonzero(cell < 0)
    cell[homeless] = np.repeat(np.arange(count), left)[: len(homeless)]
    return cell
