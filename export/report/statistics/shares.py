"""Shares of correct answers with their intervals, and which classes are confused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.knn.validation import promise


@dataclass(frozen=True, kw_only=True)
class Share:
    """A proportion with its 95 % interval.

    Attributes:
        count: the numerator.
        of: the denominator; at least 1.
        ends: both ends of its interval; None for Wilson's interval for independent pictures.
    """

    count: int
    of: int
    ends: tuple[float, float] | None = None

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.count / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends of its interval at 95 %."""
        return self.ends or promise.wilson(self.value, self.of)


def of_held_out(right: Floats, together: Ints) -> Share:
    """The share of right answers to held-out references, with an interval as for the accuracy.

    Args:
        right: (q,) 1 for a right answer, else 0.
        together: (q,) numbers, equal for references of one picture or occasion.
    """
    count, q = round(float(right.sum())), len(right)
    ends = promise.interval(count / q, q)
    return Share(count=count, of=q, ends=promise.of_groups(ends, count / q, right, together))


class Recall(NamedTuple):
    """How the pictures of one class are classified.

    Attributes:
        label: number of the class.
        right: how many are classified correctly.
        other: the class they are most often mistaken for, or None.
        mistaken: how many are mistaken for `other`.
    """

    label: int
    right: Share
    other: int | None
    mistaken: int


def confusion(actual: Ints, answered: Ints, classes: int) -> Ints:
    """The confusion matrix (C, C): rows are true classes, columns are predicted ones."""
    counts: Ints = np.bincount(actual * classes + answered, minlength=classes**2)
    return counts.reshape(classes, classes)


def recalls(counts: Ints) -> list[Recall]:
    """The recall of each class that has pictures, from a confusion matrix (C, C), weakest first."""
    right, totals = counts.diagonal(), counts.sum(axis=1)
    wrong = counts - np.diag(right)
    present = np.flatnonzero(totals)
    order = present[np.argsort(right[present] / totals[present], kind="stable")]
    return [
        Recall(
            i,
            Share(count=int(right[i]), of=int(totals[i])),
            int(wrong[i].argmax()) if wrong[i].any() else None,
            int(wrong[i].max()),
        )
        for i in map(int, order)
    ]


def mistakes(counts: Ints, most: int) -> list[tuple[int, int, int]]:
    """The most frequent mistakes of a confusion matrix (C, C): true, predicted, count."""
    wrong = counts - np.diag(counts.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    rows, columns = np.unravel_index(order, wrong.shape)
    found = zip(rows.tolist(), columns.tolist(), wrong[rows, columns].tolist(), strict=True)
    return [one for one in found if one[2]]
