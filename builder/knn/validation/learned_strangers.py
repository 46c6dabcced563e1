"""Pictures of no class as references of the class unknown: which of them, and what that brings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.metrics.cosine import unit
from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import UNKNOWN

from .folds import groups, near_copy
from .rejection import Rejection

FEWEST = 4  # different pictures, of which two are learned and two held back


@dataclass(frozen=True, kw_only=True)
class LearnedStrangers:
    """What becomes of pictures where strangers are references of the class unknown.

    Attributes:
        learned: how many strangers are references.
        held_back: how many others were asked for.
        strangers: share of the strangers held back that are answered unknown.
        known: share of the references of other classes that are, each left out.
        threshold_strangers: share of the strangers held back that `reject = auto` would reject
            without any that are learned; None where it cannot be found.
        threshold_known: share of the references that it would reject, each left out.
    """

    learned: int
    held_back: int
    strangers: float
    known: float | None
    threshold_strangers: float | None
    threshold_known: float | None


def halves(strangers: References, seed: int) -> tuple[Ints, Ints]:
    """Rows of the strangers to learn, and rows to hold back; near-copies are in one half.

    Args:
        strangers: pictures of no class.
        seed: draws the halves.

    Raises:
        InputError: there are too few different ones.
    """
    pictures = groups(strangers.vectors, strangers.sha256)
    drawn = np.random.default_rng(seed).permutation(np.unique(pictures))
    if len(drawn) < FEWEST:
        raise InputError(
            f"--learn-strangers holds half of the strangers back to measure it, which needs at"
            f" least {FEWEST} different photos, not {len(drawn)}"
        )
    taken = np.isin(pictures, drawn[: len(drawn) // 2])
    return np.flatnonzero(taken), np.flatnonzero(~taken)


def strange(references: References, strangers: References) -> Ints:
    """Rows of the strangers that are no near-copies of a reference.

    Raises:
        InputError: a stranger is a reference too, or none is left.
    """
    known = {digest: row for row, digest in enumerate(references.sha256) if digest}
    pairs = [(row, known[digest]) for row, digest in enumerate(strangers.sha256) if digest in known]
    if pairs:
        one, other = pairs[0]
        raise InputError(
            f"{len(pairs)} of the strangers are references too:"
            f" {strangers.called(one)} is {references.called(other)}"
        )
    least, units = near_copy(references.vectors), unit(references.vectors)
    nearest = [  # a row at a time: all of them would be a large table
        float((units @ one).max()) for one in unit(strangers.vectors)
    ]
    rows = np.flatnonzero(np.array(nearest) < least)
    if not len(rows):
        raise InputError("all strangers are near-copies of references")
    return rows


def measure(
    fit: Fit, strangers: NDArray[np.floating], without: Rejection | None
) -> LearnedStrangers:
    """Ask for strangers that were held back.

    Args:
        fit: with references of the class unknown.
        strangers: embeddings (q, d) of those held back.
        without: what a threshold makes of them, found without strangers among the references.
    """
    number = fit.references.labels.index(UNKNOWN)
    said = winners(fit.out_of_fold.answers)
    return LearnedStrangers(
        learned=int(fit.strangers.sum()),
        held_back=len(strangers),
        strangers=float((winners(fit.answers(fit.search(strangers))) == number).mean()),
        known=float((said == number).mean()) if len(said) else None,
        threshold_strangers=without.strangers if without else None,
        threshold_known=without.known if without else None,
    )
