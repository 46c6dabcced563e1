"""How far to trust a measured figure: an interval, the chance level, and a one-word verdict."""

from __future__ import annotations

import numpy as np

from pocketknn.builder.choices.neighbors import Floats, Ints

_Z = 1.959963984540054  # of 95 %
# Folds share their references, so cross-validation varies more than the same number of independent
# photos: by 1.0 to 1.5 times over draws of twelve sets.
WIDER = 1.3
_DRAWS, _AT_ONCE = 1000, 100  # of a bootstrap
TOO_FEW, POOR, FAIR, GOOD = "too few photos to tell", "poor", "fair", "good"
TOO_FEW_OCCASIONS = "too few occasions to tell"
FEW_OCCASIONS = 4  # fewer do not represent all occasions
_TELLS_NOTHING = 0.5  # width of an interval
_FAIR, _GOOD = 1 / 2, 1 / 5  # maximum share of the mistakes of chance


def wilson(share: float, of: int) -> tuple[float, float]:
    """Both ends of Wilson's score interval at 95 % (Wilson, JASA 22, 1927)."""
    extra = _Z**2 / of
    middle = (share + extra / 2) / (1 + extra)
    half = float(np.sqrt(share * (1 - share) * extra + extra**2 / 4)) / (1 + extra)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def interval(share: float, of: int) -> tuple[float, float]:
    """Interval of the accuracy on other photos of the same kind, from cross-validation.

    Wilson's interval with both arms widened.

    Args:
        share: share of right answers.
        of: number of references that were held out.
    """
    low, high = wilson(share, of)
    return max(share - WIDER * (share - low), 0.0), min(share + WIDER * (high - share), 1.0)


def of_groups(
    ends: tuple[float, float], share: float, right: Floats, groups: Ints
) -> tuple[float, float]:
    """Widen an interval for clustered answers: photos of an occasion, or views of a picture.

    It is at least as wide as `clustered_error` implies, by Student's t with one degree of freedom
    fewer than there are groups. Two occasions prove next to nothing, however many photos they have.
    If all answers are right, or all wrong, they show no variance to estimate the error from, so
    each group counts as one answer.

    Args:
        ends: the interval for independent photos.
        share: its centre.
        right: (q,) 1 for a right answer, else 0.
        groups: (q,) cluster numbers.
    """
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    count = len(np.unique(groups))
    if count == len(groups):
        return ends
    if count == 1:
        return 0.0, 1.0
    if right.min() == right.max():
        once = interval(share, count)
        return min(ends[0], once[0]), max(ends[1], once[1])
    arm = float(stdtrit(count - 1, 0.975)) * clustered_error(right, groups)
    return max(min(ends[0], share - arm), 0.0), min(max(ends[1], share + arm), 1.0)


def clustered_error(values: Floats, groups: Ints) -> float:
    """Cluster-robust standard error of the mean of values (Liang and Zeger, Biometrika 73, 1986).

    Args:
        values: (q,), correlated within a group.
        groups: (q,) cluster numbers; a single group gives 0, although the error is unknown.
    """
    _, inverse = np.unique(groups, return_inverse=True)
    sums = np.bincount(inverse, values - values.mean())
    correction = len(sums) / max(len(sums) - 1, 1)
    return float(np.sqrt((sums**2).sum() * correction) / len(values))


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
    """Accuracy of always guessing the largest class."""
    return float(np.bincount(label_ids).max() / len(label_ids))


def by_class(right: Floats, label_ids: Ints) -> float:
    """The accuracy within each class, averaged over the classes.

    Args:
        right: (q,) 1 for a right answer, else 0.
        label_ids: (q,) the true classes.
    """
    sizes = np.bincount(label_ids)
    shares = np.bincount(label_ids, right)[sizes > 0] / sizes[sizes > 0]
    return float(shares.mean())


def verdict(accuracy: float, ends: tuple[float, float], chance: float) -> str | None:
    """A verdict on the accuracy in a few words.

    - too few photos to tell: the interval is wider than 50 points
    - good: at most a fifth of the mistakes that always guessing the largest class would make
    - fair: at most half of them
    - poor: more, or the interval reaches down to chance

    Returns:
        None for a single class, with which no mistake is possible.
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
