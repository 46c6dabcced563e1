"""Is an answer of 90 % right nine times in ten? Confidence held against how often it was right."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.knn.fit import Fit, answers_of_others
from pocketknn.builder.knn.temperature import Asked, most_likely, usual

FEWEST = 20  # answers; of fewer nothing can be told
_OF_BIN, _MOST_BINS = 25, 10  # answers that a bin has at least, where there are bins enough
BAD = 0.1  # an error that is worth a word
CHANCE = 0.01  # of a word about answers that are calibrated


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers of about the same confidence.

    Attributes:
        confidence: mean share of the vote of the class that won.
        right: share of the answers that were right.
        answers: how many there are.
        low: lower end of what `right` is for 95 of 100 models that are calibrated.
        high: upper end of it.
    """

    confidence: float
    right: float
    answers: int
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far confidence lies from the truth.

    Attributes:
        error: root mean square, over the answers, of confidence minus how often such an answer is
            right, corrected for what chance alone adds; 0 where chance explains all of it.
        chance: probability of such a difference, or a larger one, if there were none in truth.
        bins: from the least confident to the most; each with as many answers.
    """

    error: float
    chance: float
    bins: tuple[Bin, ...]


def calibration(confidence: Floats, right: NDArray[np.bool_]) -> Calibration | None:
    """Hold answers against the truth; None where they are too few.

    Bins have equal numbers of answers. From the square of each one's gap the variance of its share
    of right answers is subtracted, which makes the sum of squares unbiased (Ferro and Fricker, A
    bias-corrected decomposition of the Brier score, 2012; Kumar, Liang and Ma, Verified uncertainty
    calibration, 2019). `chance` is that of Hosmer and Lemeshow's test (1980) for probabilities that
    were not fitted to these answers: chi-squared, with as many degrees of freedom as bins.

    Args:
        confidence: (q,) share of the vote of the class that won.
        right: (q,) whether it is the true one.
    """
    from scipy.stats import chi2

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
    # A certain answer that is wrong is no chance; one that is right is no evidence.
    statistic = float((gaps**2 / np.maximum(spread, 1e-6)).sum())
    return Calibration(
        error=float(np.sqrt(max(squares / q, 0.0))),
        chance=float(chi2.sf(statistic, len(parts))),
        bins=found,
    )


def calibrated(fit: Fit) -> Calibration | None:
    """The same of the references, each answered by those outside its fold.

    The temperature is not that of the build, which was found on these very answers: for each fold
    it comes from the other folds. And it is that of so many photos as are left, as in `handicap`:
    with fewer references the votes of one temperature are surer than they should be.

    None without classes to choose from, and where too few references can be left out.
    """
    space, ids = fit.space, fit.references.label_ids
    if not fit.head.CLASSES or len(np.unique(ids)) < 2:
        return None
    queries, k = space.others.queries, min(fit.k, space.most)
    if fit.spec.soft and space.folds:
        asked = Asked.of(space, fit.k, balanced=bool(fit.spec.balanced))
        likely, votes = usual(space), np.zeros((len(queries), len(fit.references.labels)))
        for fold in space.folds:
            here = np.isin(queries, fold.test)
            warm = most_likely(asked.some(~here), likely) if not here.all() else fit.temperature
            spec = replace(fit.spec, temperature=warm * asked.handicap)
            votes[here] = answers_of_others(spec, space, k)[here]
    else:
        votes = answers_of_others(fit.spec, space, k)
    known = ~fit.strangers[queries]
    votes = votes[known]
    return calibration(votes.max(axis=1), winners(votes) == ids[queries[known]])


def _bins(queries: int) -> int:
    return int(np.clip(queries // _OF_BIN, 1, _MOST_BINS))


def _bin(confidence: Floats, right: NDArray[np.bool_]) -> Bin:
    from scipy.stats import norm

    n, mean = len(confidence), float(confidence.mean())
    # Of answers with different probabilities, each of which may be right or wrong.
    reach = norm.ppf(0.975) * np.sqrt((confidence * (1 - confidence)).sum()) / n
    return Bin(
        confidence=mean,
        right=float(right.mean()),
        answers=n,
        low=max(mean - float(reach), 0.0),
        high=min(mean + float(reach), 1.0),
    )
