"""Shares of correct answers with their intervals, and which classes are confused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.knn.validation.promise import wilson


@dataclass(frozen=True, kw_only=True)
class Share:
    """A proportion with its 95 % interval.

    Attributes:
        count: the numerator.
        of: the denominator; at least 1.
    """

    count: int
    of: int

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.count / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends of Wilson's score interval at 95 % (Wilson, JASA 22, 1927)."""
        return wilson(self.value, self.of)


class Recall(NamedTuple):
    """How the pictures of one class are classified.

    Attributes:
        label: number of the class.
        right: how many are classified correctly.
        other: the class they are most often mistaken for, or None.
        mistaken: how many are mistaken for that one.
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
