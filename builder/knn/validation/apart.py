"""What the accuracy would have looked like if photos that belong together answered for each other.

The parts of cross-validation are drawn again, photo by photo: most near-copies of a photo, or most
of its occasion, are then among those that answer it, and from which the projection is found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.choices.heads.classify import winners

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit

_LEAST = 0.01  # of accuracy; less is not worth a line


@dataclass(frozen=True, kw_only=True)
class Apart:
    """How much too good the accuracy would have looked.

    Attributes:
        photos: how many of the queries belong together with another one.
        gain: what the accuracy would have looked better by.
    """

    photos: int
    gain: float


def apart(fit: Fit) -> Apart | None:
    """Measure it; None where it is nothing, or no more than chance.

    By a sign test: more answers turn right than turn wrong, by two standard errors or more.
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
        found = np.full(len(refs), np.nan)  # of those that were not left out
        found[queries] = winners(votes) == refs.label_ids[queries]
        right.append(found)
    change = (right[1] - right[0])[mates]
    change = change[np.isfinite(change)]
    gain = float(change.sum()) / len(space.others.queries)
    if change.sum() <= 2 * np.sqrt(np.abs(change).sum()) or gain < _LEAST:
        return None
    return Apart(photos=int(mates.sum()), gain=gain)
