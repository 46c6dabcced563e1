"""Which class is taken for which."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pocketknn.builder.choices.neighbors import Ints

from .intervals import Share


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
    """Of each class that has pictures, the weakest first.

    Args:
        counts: (C, C), as from `confusion`.
    """
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
    """The most frequent mistakes: the true class, the one answered, and how often.

    Args:
        counts: (C, C), as from `confusion`.
        most: how many mistakes at most.
    """
    wrong = counts - np.diag(counts.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    rows, columns = np.unravel_index(order, wrong.shape)
    found = zip(rows.tolist(), columns.tolist(), wrong[rows, columns].tolist(), strict=True)
    return [one for one in found if one[2]]
