"""Which references are kept: prototypes, or those that the others agree with."""

from __future__ import annotations

import warnings

import numpy as np

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.metrics.cosine import unit
from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.knn.fit import Fit

_ROUNDS = 20  # of k-means; later ones move few references


def prototypes(whole: Fit, most: int) -> Ints:
    """So many references, in the middle of k-means' clusters of each class.

    Each class has its share of them, and at least one. The reference nearest to a cluster's mean
    stands for it, not the mean itself: an index must lead to a picture.

    Args:
        whole: the references, and what is compared of them.
        most: how many; at least as many as there are classes.
    """
    references, rows = whole.references, whole.space.rows.astype(np.float64)
    if whole.metric.ANGULAR:
        rows = unit(rows)
    if not whole.head.CLASSES:
        return _middles(rows, np.arange(len(rows)), most, whole.spec.seed)
    sizes = np.bincount(references.label_ids, minlength=len(references.labels))
    return np.concatenate(
        [
            _middles(rows, np.flatnonzero(references.label_ids == label), count, whole.spec.seed)
            for label, count in enumerate(shares(sizes, most))
            if count
        ]
    )


def shares(sizes: Ints, most: int) -> Ints:
    """How many each class keeps: by its size, at least one, and no more than it has."""
    kept = (sizes > 0).astype(np.int64)
    exact = sizes * most / sizes.sum()
    while kept.sum() < most:
        kept[np.argmax(np.where(kept < sizes, exact - kept, -np.inf))] += 1
    return kept


def _middles(rows: Floats, members: Ints, count: int, seed: int) -> Ints:
    if count >= len(members):
        return members
    from sklearn.cluster import KMeans

    state = seed % (1 << 32)  # scikit-learn takes no larger seed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # copies of a picture make fewer clusters; filled up below
        found = KMeans(count, n_init=1, max_iter=_ROUNDS, random_state=state).fit(rows[members])
    far = ((rows[members] - found.cluster_centers_[found.labels_]) ** 2).sum(axis=1)
    nearest_first = np.argsort(far, kind="stable")
    _, firsts = np.unique(found.labels_[nearest_first], return_index=True)
    middles = nearest_first[firsts]
    others = nearest_first[~np.isin(nearest_first, middles)]
    kept: Ints = members[np.concatenate([middles, others[: count - len(middles)]])]
    return kept


def edited(whole: Fit) -> Ints:
    """The references whose label wins when each is left out, under the k and the vote of the fit.

    That is Wilson's editing (Asymptotic Properties of Nearest Neighbor Rules Using Edited Data,
    IEEE Transactions on Systems, Man, and Cybernetics, 1972).

    With a projection they are left out in folds, as else a wrong label would have shaped the space.

    Of a class that would vanish, the reference with the most votes for its label is kept.
    """
    labels = whole.references.label_ids
    votes = whole.answers(whole.space.others_of_all(whole.k))
    good = winners(votes) == labels
    for label in np.setdiff1d(labels, labels[good]):
        members = np.flatnonzero(labels == label)
        good[members[np.argmax(votes[members, label])]] = True
    return np.flatnonzero(good)
