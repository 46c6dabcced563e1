"""Strangers as references of the class unknown: which ones to learn, and how well that works."""

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
from pocketknn.builder.wording import counted

from .folds import groups, near_copy
from .rejection import Rejection

FEWEST = 4  # different pictures: two to learn and two to hold back


@dataclass(frozen=True, kw_only=True)
class LearnedStrangers:
    """Rejection rates with strangers as references of the class unknown.

    Attributes:
        learned: how many strangers are references.
        held_back: how many other strangers were queries.
        strangers: share of the held-back strangers that are called unknown.
        known: share of the references of real classes that are called unknown when held out.
        threshold_strangers: share of the held-back strangers that `reject = auto` would reject
            without learned strangers; None if there is no such threshold.
        threshold_known: share of the references that it would reject when held out.
    """

    learned: int
    held_back: int
    strangers: float
    known: float | None
    threshold_strangers: float | None
    threshold_known: float | None


def halves(strangers: References, seed: int) -> tuple[Ints, Ints]:
    """Rows of the strangers to learn, and rows to hold back; near-copies are in the same half.

    Args:
        strangers: pictures that show none of the classes.
        seed: random seed.

    Raises:
        InputError: too few different pictures.
    """
    pictures = groups(strangers.vectors, strangers.sha256)
    drawn = np.random.default_rng(seed).permutation(np.unique(pictures))
    if len(drawn) < FEWEST:
        raise InputError(
            f"--learn-strangers holds back half of the strangers for measuring, which needs at"
            f" least {FEWEST} different photos, not {len(drawn)}",
            "too-few-strangers",
        )
    taken = np.isin(pictures, drawn[: len(drawn) // 2])
    return np.flatnonzero(taken), np.flatnonzero(~taken)


def strange(references: References, strangers: References) -> Ints:
    """Rows of the strangers that are not near-copies of a reference.

    Raises:
        InputError: a stranger is also a reference, or no stranger is left.
    """
    known = {digest: row for row, digest in enumerate(references.sha256) if digest}
    pairs = [(row, known[digest]) for row, digest in enumerate(strangers.sha256) if digest in known]
    if pairs:
        one, other = pairs[0]
        many = "of the strangers are also references"
        raise InputError(
            f"{counted(len(pairs), 'of the strangers is also a reference', many)}:"
            f" {strangers.called(one)} is the same picture as {references.called(other)}",
            "stranger-is-reference",
        )
    limit, units = near_copy(references.vectors), unit(references.vectors)
    nearest = [  # a row at a time, to save memory
        float((units @ one).max()) for one in unit(strangers.vectors)
    ]
    rows = np.flatnonzero(np.array(nearest) < limit)
    if not len(rows):
        raise InputError("all strangers are near-copies of references", "no-strangers-left")
    return rows


def measure(
    fit: Fit, strangers: NDArray[np.floating], without: Rejection | None
) -> LearnedStrangers:
    """Measure with the strangers that were held back.

    Args:
        fit: with references of the class unknown.
        strangers: embeddings (q, d) of the strangers held back.
        without: the rates of rejection by a threshold, without strangers among the references.
    """
    number = fit.references.labels.index(UNKNOWN)
    predicted = winners(fit.out_of_fold.answers)
    return LearnedStrangers(
        learned=int(fit.strangers.sum()),
        held_back=len(strangers),
        strangers=float((winners(fit.answers(fit.search(strangers))) == number).mean()),
        known=float((predicted == number).mean()) if len(predicted) else None,
        threshold_strangers=without.strangers if without else None,
        threshold_known=without.known if without else None,
    )
