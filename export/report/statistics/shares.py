"""Shares of right answers, how sure they are, and which class is taken for which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.knn.validation.promise import wilson


@dataclass(frozen=True, kw_only=True)
class Share:
    """So many of so many, with an interval that holds the true share in 95 of 100 cases.

    Attributes:
        count: how many.
        of: of how many; at least 1.
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
    """What the pictures of one class are taken for.

    Attributes:
        label: number of the class.
        right: how many are taken for what they are.
        other: the other class that they are taken for most often, or None.
        mistaken: how many are taken for that one.
    """

    label: int
    right: Share
    other: int | None
    mistaken: int


def confusion(actual: Ints, answered: Ints, classes: int) -> Ints:
    """How often each class was taken for each (C, C): rows are true, columns are answered."""
    counts: Ints = np.bincount(actual * classes + answered, minlength=classes**2)
    return counts.reshape(classes, classes)


def recalls(counts: Ints) -> list[Recall]:
    """Of each class that has pictures, by a confusion (C, C), the weakest first."""
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
    """The most frequent mistakes of a confusion (C, C): the true class, the answer, how often."""
    wrong = counts - np.diag(counts.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    rows, columns = np.unravel_index(order, wrong.shape)
    found = zip(rows.tolist(), columns.tolist(), wrong[rows, columns].tolist(), strict=True)
    return [one for one in found if one[2]]
