"""Cross-validation: folds of the references.

A reference lies nearer to its class than a new photo would in a space that was learned from it, so
the projection is learned again for each fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics.cosine import unit
from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors
from pocketknn.builder.knn import exact
from pocketknn.builder.knn.projection.pca import Projection
from pocketknn.builder.system.blas import in_order, one_thread

PARTS = 5
MOST_QUERIES = 5000  # with more references, one part of this size is held out, once
MOST_OF_CLASS = 5000  # larger classes are not searched for near-copies
# Two photos of a class are near-copies up to this cosine distance, as a share of the median
# distance of two references: with EfficientNet-Lite0 that catches 97 % of mirrored photographs and
# most small crops, and one in a hundred of different photographs.
NEAR_COPY = 0.08
_PARTS_OF_CLASSES = 10
_SAMPLE = 1000  # references sampled for the median distance
_AT_ONCE = 1024  # rows of a class compared with the others, on each core


class Fold(NamedTuple):
    """A fold: some references as queries, and the others to find.

    Attributes:
        test: rows that are queries.
        train: all other rows.
        projection: learned from `train` alone; None compares the embeddings themselves.
    """

    test: Ints
    train: Ints
    projection: Projection | None

    def project(self, vectors: NDArray[np.floating], rows: Ints | None = None) -> Floats:
        """Vectors (n, d), or some rows (q,) of them, under the projection: (q, r) float64."""
        if self.projection is None:
            return np.asarray(vectors if rows is None else vectors[rows], np.float64)
        return self.projection(vectors, rows)

    def search(self, vectors: NDArray[np.floating], k: int, metric: str = "cosine") -> Neighbors:
        """The k nearest `train` rows of each `test` row, as rows of vectors (n, d)."""
        with one_thread():
            queries = self.project(vectors, self.test)
            whole = self.projection is None
            rows = vectors if whole else self.project(vectors, self.train)
        # The threads change no answer that is screened.
        screened = exact.is_screened(len(queries), rows.size, metric)
        with nullcontext() if screened else one_thread():
            found = exact.search(queries, rows, k, metric, among=self.train if whole else None)
        return found if whole else Neighbors(found.scores, self.train[found.indices])


def folds(
    label_ids: Ints,
    groups: Ints,
    seed: int = 0,
    most: int = MOST_QUERIES,
    parts: int = PARTS,
    *,
    across: bool = False,
) -> tuple[Ints, ...]:
    """The test rows of each fold: five folds, or a single one for many references.

    Folds are stratified. If a class has fewer groups than there are folds, its groups go to
    different folds, and these folds vary from class to class: with two photos per class, each fold
    tests one photo of two fifths of the classes, so that its training part still shows how photos
    of a class differ.

    A group is never split, and each class keeps at least one group in the training part: the group
    that would be the last is never a query, nor is the only group of a class. If there are fewer
    groups than folds, each group is a fold.

    Args:
        label_ids: (n,) class numbers; empty without classes.
        groups: (n,) numbers of the pictures, as from `groups`.
        seed: random seed.
        most: maximum rows for several folds; with more references, the size of the single fold.
        parts: how many folds.
        across: whether groups usually span many classes, as occasions do.

    Returns:
        Rows in ascending order; none is in two folds. Empty if no class has two groups.
    """
    n = len(groups)
    ids = label_ids if len(label_ids) else np.zeros(n, np.int64)
    parts = parts if n <= most else max(parts, -(-n // most))
    draw = np.random.default_rng(seed)
    pictures, first, group = np.unique(groups, return_index=True, return_inverse=True)
    # Unique pairs of a class and a picture of it.
    pairs = np.unique(ids * len(pictures) + group)
    of_class, of_picture = pairs // len(pictures), pairs % len(pictures)
    classes, counts = np.unique(of_class, return_counts=True)
    part, sizes = np.full(len(pictures), -1), np.bincount(group)
    home, spread = ids[first], np.bincount(of_picture) > 1
    if across and spread.any():
        home = np.where(spread, -1, home)
        part[spread] = _dealt_whole(ids, group, np.flatnonzero(spread), parts, draw)
    for number, one in enumerate(draw.permutation(classes[counts > 1])):
        mine = draw.permutation(np.flatnonzero(home == one))
        steps = np.arange(len(mine))
        if len(mine) < parts:
            steps = steps * parts // max(len(mine), 1)
        part[mine] = (number + steps) % parts
    for one in classes:  # even with one picture, which may be in another class too
        own = of_picture[of_class == one]
        if part[own[0]] >= 0 and (part[own] == part[own[0]]).all():
            part[own[np.argmin(sizes[own])] if across else own[0]] = -1
    found = (np.flatnonzero(part[group] == number) for number in range(parts if n <= most else 1))
    return tuple(rows for rows in found if len(rows))


def _dealt_whole(
    ids: Ints, group: Ints, spread: Ints, parts: int, draw: np.random.Generator
) -> Ints:
    """The fold of each group that spans several classes, the largest dealt first.

    Each goes to the fold where its classes have the fewest rows, avoiding those where a class would
    lose its last training group.
    """
    classes = int(ids.max()) + 1
    number = np.full(int(group.max()) + 1, -1)
    number[spread] = np.arange(len(spread))
    all_groups = np.bincount(np.unique(group * classes + ids) % classes, minlength=classes)
    here = number[group] >= 0
    cells = number[group[here]] * classes + ids[here]
    rows = np.bincount(cells, minlength=len(spread) * classes).reshape(-1, classes)
    held, groups_held = np.zeros((parts, classes)), np.zeros((parts, classes))
    found = np.empty(len(spread), np.int64)
    order = draw.permutation(len(spread))
    for one in order[np.argsort(-rows[order].sum(axis=1), kind="stable")]:
        own = rows[one] > 0
        last = (groups_held[:, own] + 1 == all_groups[own]).any(axis=1)
        best = np.lexsort((held.sum(axis=1), held[:, own].sum(axis=1), last))[0]
        found[one] = best
        held[best] += rows[one]
        groups_held[best] += own
    return found


def parts_of_classes(label_ids: Ints, seed: int) -> list[Ints]:
    """The numbers of the classes in up to ten random parts, each to be left out once."""
    dealt = np.random.default_rng(seed).permutation(np.unique(label_ids))
    return list(np.array_split(dealt, max(min(_PARTS_OF_CLASSES, len(dealt)), 1)))


def stratified(
    n: int, folds: int, seed: int, classes: Ints | None, groups: Ints | None
) -> list[tuple[Ints, Ints]]:
    """Training rows and test rows of each fold, by scikit-learn's shuffling splitters.

    Args:
        n: how many references.
        folds: how many folds.
        seed: random seed.
        classes: (n,) numbers, by which folds are stratified; None without classes.
        groups: (n,) numbers of the groups, which are never split; None without groups.
    """
    from sklearn import model_selection

    name = "GroupKFold" if groups is not None else "KFold"
    name = name if classes is None else f"Stratified{name}"
    state = seed % (1 << 32)  # scikit-learn takes no larger seed
    splitter = getattr(model_selection, name)(folds, shuffle=True, random_state=state)
    return list(splitter.split(np.zeros(n), classes, groups))


def dealt(n: int, folds: int, seed: int, classes: Ints | None, groups: Ints | None) -> list[Ints]:
    """Test rows of each fold; rows are dealt out class by class, however small the classes.

    Args:
        n: how many references.
        folds: maximum number of folds.
        seed: random seed.
        classes: (n,) numbers, by which folds are stratified; None without classes.
        groups: (n,) the first row of each row's group, which is never split; None without groups.
    """
    draw = np.random.default_rng(seed)
    order = np.lexsort((draw.permutation(n), np.zeros(n) if classes is None else classes))
    part = np.empty(n, np.int64)
    part[order] = np.arange(n) % folds
    if groups is not None:
        part = part[groups]
    return [np.flatnonzero(part == number) for number in np.unique(part)]


def groups(
    vectors: NDArray[np.floating], sha256: Sequence[str] = (), label_ids: Ints | None = None
) -> Ints:
    """The picture of each reference: (n,) numbers, the first row that shows it.

    References share a picture if they are copies of one file, or near-copies within a class:
    encoded again, mirrored, cropped a little. Near-copies have a cosine distance of at most
    `NEAR_COPY` times the median distance between references, whatever the backbone. Near-copies in
    other classes do not count, as they do not help a held-out photo.

    Args:
        vectors: (n, d) embeddings.
        sha256: hashes of the files; "" if unknown; none at all if all are unknown.
        label_ids: (n,) class numbers; all are of one class if empty or None.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(vectors)
    known = [(digest, row) for row, digest in enumerate(sha256) if digest]
    earlier = dict(reversed(known))
    links = [np.array([(earlier[digest], row) for digest, row in known], np.int64).reshape(-1, 2)]
    links += _near_copies(vectors, label_ids if label_ids is not None else np.zeros(0, np.int64))
    one, other = np.concatenate(links).T
    graph = coo_array((np.ones(len(one)), (one, other)), (n, n))
    number = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(number, return_index=True, return_inverse=True)
    found: Ints = first[inverse].astype(np.int64)
    return found


def rows_of_each(numbers: Ints) -> list[Ints]:
    """The rows of each number that occurs in (n,), such as a class or a picture."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)


def near_copy(vectors: NDArray[np.floating]) -> float:
    """The minimum cosine of near-copies; above 1 for a single photo."""
    sample = unit(vectors[:: -(-len(vectors) // _SAMPLE)])
    cosines = (sample @ sample.T)[np.triu_indices(len(sample), 1)]
    return 1 - NEAR_COPY * (1 - float(np.median(cosines))) if len(cosines) else 2.0


def _near_copies(vectors: NDArray[np.floating], label_ids: Ints) -> Iterator[Ints]:
    """Pairs of rows (m, 2), class by class."""
    n, limit = len(vectors), near_copy(vectors)
    ids = label_ids if len(label_ids) else np.zeros(n, np.int64)

    def pairs(rows: Ints) -> Ints:
        # float32 is exact enough for this, and takes half the time.
        units = unit(vectors[rows]).astype(np.float32)
        found = []
        for start in range(0, len(rows), _AT_ONCE):
            one, other = np.nonzero(units[start : start + _AT_ONCE] @ units[start:].T >= limit)
            once = one < other
            found.append(rows[start + np.stack([one[once], other[once]], axis=1)])
        return np.concatenate(found)

    yield from in_order(
        pairs, [rows for rows in rows_of_each(ids) if 1 < len(rows) <= MOST_OF_CLASS]
    )
