"""Methods to choose the references to keep: prototypes, or Wilson's editing."""

from __future__ import annotations

import warnings

import numpy as np

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.metrics.cosine import unit
from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.knn.fit import Fit

_ROUNDS = 20  # of k-means; more would move few references


def prototypes(whole: Fit, most: int) -> Ints:
    """The references in the middle of each class's k-means clusters.

    Each class keeps its share of them, and at least one. A cluster is represented by the reference
    nearest to its mean, not by the mean itself, as each index must lead to a picture.

    Args:
        whole: the references, under their projection.
        most: how many; at least the number of classes.
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
    """How many references each class keeps: in proportion to its size, and at least one."""
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
        warnings.simplefilter("ignore")  # copies give fewer clusters; `others` fill the gaps below
        found = KMeans(count, n_init=1, max_iter=_ROUNDS, random_state=state).fit(rows[members])
    far = ((rows[members] - found.cluster_centers_[found.labels_]) ** 2).sum(axis=1)
    nearest_first = np.argsort(far, kind="stable")
    _, firsts = np.unique(found.labels_[nearest_first], return_index=True)
    middles = nearest_first[firsts]
    others = nearest_first[~np.isin(nearest_first, middles)]
    kept: Ints = members[np.concatenate([middles, others[: count - len(middles)]])]
    return kept


def edited(whole: Fit) -> Ints:
    """The references that leave-one-out classifies correctly, with the k and the vote of the fit.

    That is Wilson's editing (Asymptotic Properties of Nearest Neighbor Rules Using Edited Data,
    IEEE Transactions on Systems, Man, and Cybernetics, 1972).

    With a projection, references are held out in folds: a wrong label must not take part in
    learning the space.

    If a class would vanish, its reference with the most votes for its label is kept.
    """
    labels = whole.references.label_ids
    votes = whole.answers(whole.space.others_of_all(whole.k))
    good = winners(votes) == labels
    for label in np.setdiff1d(labels, labels[good]):
        members = np.flatnonzero(labels == label)
        good[members[np.argmax(votes[members, label])]] = True
    return np.flatnonzero(good)
