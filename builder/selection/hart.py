"""Hart's condensed nearest neighbours: the references without which the nearest one is wrong.

P. E. Hart, "The Condensed Nearest Neighbor Rule", IEEE Transactions on Information Theory, 1968.
"""

from __future__ import annotations

import numpy as np

from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.knn.exact import scores, search
from pocketknn.builder.knn.fit import Fit

_BLOCK = 256  # references that are compared at once with what is kept so far


def choose(whole: Fit, most: int) -> Ints:
    """References with which the nearest one has the right label for all of them.

    One of each class is kept, and then, in a seeded order and over and over until nothing changes,
    each whose nearest of the kept ones is of another class. The rule is one of the nearest
    neighbour, whatever k is.

    Args:
        whole: the references, and what is compared of them.
        most: where to stop; the order is that in which they were kept.
    """
    rows, metric = whole.space.rows, str(whole.spec.metric)
    labels = whole.references.label_ids
    order = np.random.default_rng(whole.spec.seed).permutation(len(rows))
    kept = [int(order[np.argmax(labels[order] == label)]) for label in np.unique(labels)]
    is_kept = np.zeros(len(rows), bool)
    is_kept[kept] = True
    before = 0
    while before < len(kept) < most:
        before = len(kept)
        for start in range(0, len(rows), _BLOCK):
            block = order[start : start + _BLOCK]
            store = np.sort(kept)  # ties go to the lower index, as everywhere
            found = search(rows[block], rows[store], 1, metric)
            best, nearest = found.scores[:, 0], store[found.indices[:, 0]]
            within = scores(rows[block], rows[block], metric)
            for place, row in enumerate(block):
                if labels[nearest[place]] == labels[row] or is_kept[row]:
                    continue
                kept.append(int(row))
                is_kept[row] = True
                if len(kept) == most:
                    return np.array(kept)
                nearer = within[:, place] > best
                best = np.where(nearer, within[:, place], best)
                nearest = np.where(nearer, row, nearest)
    return np.array(kept)
