"""Wilson's editing: without the references that the others vote against.

D. L. Wilson, "Asymptotic Properties of Nearest Neighbor Rules Using Edited Data", IEEE Transactions
on Systems, Man, and Cybernetics, 1972.
"""

from __future__ import annotations

import numpy as np

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.knn.fit import Fit


def choose(whole: Fit) -> Ints:
    """The references whose label wins when each is left out, under the k and the vote of the fit.

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
