"""Is an answer with 90 % confidence right nine times in ten? Confidence compared with accuracy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.knn.fit import Fit, answers_of_others
from pocketknn.builder.knn.temperature import HeldOut, most_likely, usual

FEWEST = 20  # minimum number of answers
_OF_BIN, _MOST_BINS = 25, 10  # minimum answers per bin (if there are several), and maximum bins
BAD = 0.1  # an error worth a warning
CHANCE = 0.01  # probability of a warning although answers are calibrated


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers of about the same confidence.

    Attributes:
        confidence: mean share of the vote of the class that won.
        right: share of the answers that were right.
        answers: how many there are.
        low: lower end of the 95 % range of `right` for a calibrated model.
        high: upper end of it.
    """

    confidence: float
    right: float
    answers: int
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The calibration error.

    Attributes:
        error: root mean square, over the answers, of confidence minus the accuracy at that
            confidence, corrected for sampling error; 0 if sampling error explains all of it.
        chance: p-value: the probability that a calibrated model shows this difference or more.
        bins: from least to most confident, with equal numbers of answers.
    """

    error: float
    chance: float
    bins: tuple[Bin, ...]


def calibration(confidence: Floats, right: NDArray[np.bool_]) -> Calibration | None:
    """Compare confidence with accuracy; None for too few answers.

    Bins have equal numbers of answers. The variance of each bin's accuracy is subtracted from its
    squared gap, which makes the sum of squares unbiased (Ferro and Fricker, A bias-corrected
    decomposition of the Brier score, 2012; Kumar, Liang and Ma, Verified uncertainty calibration,
    2019). `chance` is the p-value of Hosmer and Lemeshow's test (1980) for probabilities that were
    not fitted to these answers: chi-squared, with as many degrees of freedom as bins.

    Args:
        confidence: (q,) share of the vote of the class that won.
        right: (q,) whether that class is the true one.
    """
    from scipy.special import chdtrc  # scipy.stats takes a second to import

    q = len(confidence)
    if q < FEWEST:
        return None
    parts = np.array_split(np.argsort(confidence, kind="stable"), _bins(q))
    found = tuple(_bin(confidence[rows], right[rows]) for rows in parts)
    squares = sum(
        one.answers * (one.confidence - one.right) ** 2
        - one.right * (1 - one.right) * one.answers / (one.answers - 1)
        for one in found
    )
    gaps = np.array([(right[rows] - confidence[rows]).sum() for rows in parts])
    spread = np.array([(confidence[rows] * (1 - confidence[rows])).sum() for rows in parts])
    # The floor avoids 0/0: at confidence 1 a wrong answer cannot be chance; a right one is no
    # evidence.
    statistic = float((gaps**2 / np.maximum(spread, 1e-6)).sum())
    return Calibration(
        error=float(np.sqrt(max(squares / q, 0.0))),
        chance=float(chdtrc(len(parts), statistic)),
        bins=found,
    )


def calibrated(fit: Fit) -> Calibration | None:
    """The calibration of out-of-fold answers for the references.

    The temperature is not that of the build, which was fitted to these very answers: each fold uses
    one that was fitted to the other folds. It is also adjusted to the smaller training part, see
    `handicap`: with fewer references, the same temperature makes votes overconfident.

    None if there are fewer than two classes, if too few references can be held out, or if
    leave-one-out gives no accuracy.
    """
    space, ids = fit.space, fit.references.label_ids
    if not fit.head.CLASSES or len(np.unique(ids)) < 2 or not space.has_two_pictures:
        return None
    queries, k = space.others.queries, min(fit.k, space.most)
    if fit.spec.soft and space.folds:
        held_out = HeldOut.of(space, fit.k, balanced=bool(fit.spec.balanced))
        likely, votes = usual(space), np.zeros((len(queries), len(fit.references.labels)))
        for fold in space.folds:
            here = np.isin(queries, fold.test)
            found = most_likely(held_out.some(~here), likely) if not here.all() else fit.temperature
            spec = replace(fit.spec, temperature=found * held_out.handicap)
            votes[here] = answers_of_others(spec, space, k)[here]
    else:
        votes = fit.answers_of_others
    known = ~fit.strangers[queries]
    votes = votes[known]
    return calibration(votes.max(axis=1), winners(votes) == ids[queries[known]])


def _bins(queries: int) -> int:
    return int(np.clip(queries // _OF_BIN, 1, _MOST_BINS))


def _bin(confidence: Floats, right: NDArray[np.bool_]) -> Bin:
    from scipy.special import ndtri

    n, mean = len(confidence), float(confidence.mean())
    # The answers are independent Bernoulli trials with different probabilities.
    reach = ndtri(0.975) * np.sqrt((confidence * (1 - confidence)).sum()) / n
    return Bin(
        confidence=mean,
        right=float(right.mean()),
        answers=n,
        low=max(mean - float(reach), 0.0),
        high=min(mean + float(reach), 1.0),
    )
