"""How much near-copies and occasions would inflate the accuracy if not held out together.

Cross-validation is repeated with folds drawn photo by photo: most near-copies of a photo, or most
photos of its occasion, are then in the training part, from which the projection is learned too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.choices.heads.classify import winners

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit

_MIN_GAIN = 0.01  # of accuracy; less is not reported


@dataclass(frozen=True, kw_only=True)
class Apart:
    """The inflation of the accuracy.

    Attributes:
        photos: how many queries share a picture or an occasion with another one.
        gain: how much too high the accuracy would be.
    """

    photos: int
    gain: float


def apart(fit: Fit) -> Apart | None:
    """Measure the inflation of the accuracy; None if negligible or not significant.

    It is significant if more answers become right than wrong, by more than two standard errors (a
    sign test).
    """
    from pocketknn.builder.knn.fit import answers_of_others

    space, refs = fit.space, fit.references
    if not (space.folds and fit.head.CLASSES and len(refs.labels) > 1):
        return None
    mates = np.bincount(space.together, minlength=len(refs))[space.together] > 1
    if not mates.any():
        return None
    alone = replace(
        space,
        references=replace(refs, occasions=("",) * len(refs)),
        known_pictures=np.arange(len(refs)),
    )
    right = []
    for one in (space, alone):
        queries = one.others.queries
        votes = answers_of_others(fit.spec, one, min(fit.k, one.most))
        found = np.full(len(refs), np.nan)  # stays NaN for those that were not held out
        found[queries] = winners(votes) == refs.label_ids[queries]
        right.append(found)
    change = (right[1] - right[0])[mates]
    change = change[np.isfinite(change)]
    gain = float(change.sum()) / len(space.others.queries)
    if change.sum() <= 2 * np.sqrt(np.abs(change).sum()) or gain < _MIN_GAIN:
        return None
    return Apart(photos=int(mates.sum()), gain=gain)
