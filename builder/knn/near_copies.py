"""References that show one picture: copies of a file, and near-copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics.cosine import unit
from pocketknn.builder.choices.neighbors import Ints

# Cosine distance, as a share of the median of two references, up to which two photos of a class
# show one picture: with EfficientNet-Lite0 97 % of mirrored photographs and most small crops,
# and one in a hundred of different photographs.
NEAR_COPY = 0.08
_SAMPLE = 1000  # references whose median distance stands for that of all
_MOST_OF_CLASS = 5000  # larger classes are not searched for near-copies


def groups(
    vectors: NDArray[np.floating], sha256: Sequence[str] = (), label_ids: Ints | None = None
) -> Ints:
    """Which references show one picture: (n,) numbers, the row of the first that does.

    Those are copies of one file, and near-copies within a class: encoded again, mirrored, cropped a
    little. Two photos are near-copies when their cosine distance is at most `NEAR_COPY` of the
    median distance of all, whatever the backbone. A near-copy in another class is none here: left
    out alone, a photo does not profit from it.

    Args:
        vectors: (n, d) embeddings.
        sha256: hashes of the files; an empty one is unknown, and so are all of no hashes.
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


def _near_copies(vectors: NDArray[np.floating], label_ids: Ints) -> Iterator[Ints]:
    """Pairs of rows (m, 2), class by class."""
    n = len(vectors)
    sample = unit(vectors[:: -(-n // _SAMPLE)])
    cosines = (sample @ sample.T)[np.triu_indices(len(sample), 1)]
    if not len(cosines):
        return
    least = 1 - NEAR_COPY * (1 - float(np.median(cosines)))
    ids = label_ids if len(label_ids) else np.zeros(n, np.int64)
    order = np.argsort(ids, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(ids[order])) + 1):
        if 1 < len(rows) <= _MOST_OF_CLASS:
            # Singles are exact enough for this, and take half the time.
            units = unit(vectors[rows]).astype(np.float32)
            yield rows[np.argwhere(np.triu(units @ units.T >= least, 1))]
