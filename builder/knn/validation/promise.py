"""What a measured figure is worth: an interval, the level of chance beside it, and a word."""

from __future__ import annotations

import numpy as np

from pocketknn.builder.choices.neighbors import Floats, Ints

_Z = 1.959963984540054  # of 95 %
# Parts share their references, so that a figure of cross-validation varies more than a share of
# as many photos that are independent: by 1.0 to 1.5 times over draws of twelve sets.
WIDER = 1.3
_DRAWS, _AT_ONCE = 1000, 100  # of a bootstrap
TOO_FEW, POOR, FAIR, GOOD = "too few photos to tell", "poor", "fair", "good"
TOO_FEW_OCCASIONS = "too few occasions to tell"
FEW_OCCASIONS = 4  # below, what they have in common is taken for what all have
_TELLS_NOTHING = 0.5  # width of an interval
_FAIR, _GOOD = 1 / 2, 1 / 5  # of the mistakes of chance


def wilson(share: float, of: int) -> tuple[float, float]:
    """Both ends of Wilson's score interval at 95 % (Wilson, JASA 22, 1927)."""
    extra = _Z**2 / of
    middle = (share + extra / 2) / (1 + extra)
    half = float(np.sqrt(share * (1 - share) * extra + extra**2 / 4)) / (1 + extra)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def interval(share: float, of: int) -> tuple[float, float]:
    """Where the accuracy on other photos of the same kind lies, by one of cross-validation.

    Wilson's interval, both of whose arms are made longer.

    Args:
        share: of right answers.
        of: how many references were left out.
    """
    low, high = wilson(share, of)
    return max(share - WIDER * (share - low), 0.0), min(share + WIDER * (high - share), 1.0)


def of_groups(
    ends: tuple[float, float], share: float, right: Floats, groups: Ints
) -> tuple[float, float]:
    """The interval where photos of an occasion, or views of a picture, are right or wrong together.

    It reaches at least as far as the cluster-robust error of a mean does (Liang and Zeger,
    Biometrika 73, 1986), with Student's t of as many degrees of freedom as there are groups, less
    one. Two occasions tell next to nothing, however many photos they have.

    Args:
        ends: the interval of as many photos that are independent.
        share: in the middle of it.
        right: (q,) 1 where an answer is right, else 0.
        groups: (q,) numbers of what belongs together.
    """
    from scipy.stats import t

    _, inverse = np.unique(groups, return_inverse=True)
    count = int(inverse.max()) + 1
    if count == len(groups):
        return ends
    if count == 1:
        return 0.0, 1.0
    sums = np.bincount(inverse, right - right.mean())
    error = np.sqrt((sums**2).sum() * count / (count - 1)) / len(right)
    arm = float(t.ppf(0.975, count - 1) * error)
    return max(min(ends[0], share - arm), 0.0), min(max(ends[1], share + arm), 1.0)


def rmse_interval(errors: Floats, seed: int) -> tuple[float, float]:
    """95 % percentile bootstrap of the root mean squared error over errors (q,): 1,000 draws."""
    from scipy.stats import bootstrap

    found = bootstrap(
        (errors**2,),
        np.mean,
        n_resamples=_DRAWS,
        batch=_AT_ONCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = np.sqrt(found.confidence_interval)
    return float(low), float(high)


def chance(label_ids: Ints) -> float:
    """Share of right answers of who always names the largest class."""
    return float(np.bincount(label_ids).max() / len(label_ids))


def by_class(right: Floats, label_ids: Ints) -> float:
    """Mean over the classes of the share that is right in each.

    Args:
        right: (q,) 1 where an answer is right, else 0.
        label_ids: (q,) the true classes.
    """
    sizes = np.bincount(label_ids)
    shares = np.bincount(label_ids, right)[sizes > 0] / sizes[sizes > 0]
    return float(shares.mean())


def verdict(accuracy: float, ends: tuple[float, float], chance: float) -> str | None:
    """The figure in a word.

    - too few photos to tell: the interval is wider than 50 points
    - good: at most a fifth of the mistakes of who always names the largest class
    - fair: at most half of them
    - poor: more, or the interval reaches down to chance

    Returns:
        None where nothing can be mistaken, as there is one class.
    """
    if chance >= 1:
        return None
    low, high = ends
    if high - low > _TELLS_NOTHING:
        return TOO_FEW
    mistakes = (1 - accuracy) / (1 - chance)
    if low <= chance or mistakes > _FAIR:
        return POOR
    return GOOD if mistakes <= _GOOD else FAIR
