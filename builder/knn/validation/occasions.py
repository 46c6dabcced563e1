"""Occasions of the references: which photos to hold out together, and which cannot be held out."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.errors import InputError

_MOST_PARTS = 10
# Mistakes fall with about this power of the number of occasions: 0 to 0.5 on flowers, insects and
# caltech with two to seven simulated occasions (colour, light, blur, zoom).
_LEARNING = 1 / 4

if TYPE_CHECKING:
    from pocketknn.builder.references.references import References


def of_one_occasion(references: References) -> tuple[str, ...]:
    """The classes whose photos are all from one occasion, so that none can be held out."""
    seen: dict[str, set[str]] = defaultdict(set)
    for row, (name, occasion) in enumerate(zip(references.ids, references.occasions, strict=True)):
        seen[references.label_of(row)].add(f"occasion {occasion}" if occasion else f"id {name}")
    alone = {label for label, names in seen.items() if len(names) == 1}
    counts = references.counts
    return tuple(label for label in references.labels if label in alone and counts[label] > 1)


def described(references: References) -> dict[str, Any] | None:
    """A summary of the occasions: how many, in how many photos, and the classes with only one.

    None without occasions.
    """
    named = [one for one in references.occasions if one]
    if not named:
        return None
    return {
        "count": len(set(named)),
        "photos": len(named),
        "classes_of_one": list(of_one_occasion(references)),
    }


def linked(references: References) -> Ints:
    """The occasion of each reference: (n,) numbers, the first row of each.

    A class with a single occasion counts separately: it stays in the training part, so that the
    other classes of that occasion can still be held out.
    """
    alone = {*of_one_occasion(references)} if any(references.occasions) else set()
    first: dict[tuple[str, str], int] = {}
    found = np.arange(len(references))
    for row, occasion in enumerate(references.occasions):
        label = references.label_of(row)
        if occasion:
            found[row] = first.setdefault((occasion, label if label in alone else ""), row)
    return found


def together(references: References, pictures: Ints) -> Ints:
    """The group of each reference to hold out together: (n,) numbers, the first row of each.

    Photos with an occasion are grouped by occasion only: grouping them by similarity too would
    chain occasions together until none could be held out.

    Args:
        references: with or without occasions.
        pictures: (n,) the picture of each reference, which groups photos without an occasion.
    """
    if not any(references.occasions):
        return pictures
    occasions = linked(references)
    named = np.array([bool(one) for one in references.occasions])
    return np.where(named, occasions, occasions[pictures])


def parts_of(label_ids: Ints, whole: Ints) -> int:
    """The number of folds over occasions: as many as occasions in the class of the median photo.

    So each fold holds out about one occasion of every class.
    """
    return int(np.clip(np.median(_of_class(label_ids, whole)), 2, _MOST_PARTS))


def fewer_mistakes(label_ids: Ints, whole: Ints, parts: int) -> float:
    """The expected mistakes with all occasions, relative to those with one occasion held out.

    Args:
        label_ids: (n,) class numbers; empty without classes.
        whole: (n,) numbers of the groups held out together.
        parts: the number of folds.
    """
    parts = int(min(parts, np.median(_of_class(label_ids, whole))))
    return float((1 - 1 / parts) ** _LEARNING) if parts > 1 else 1.0


def _of_class(label_ids: Ints, whole: Ints) -> Ints:
    """The number of occasions of each photo's class, for classes with two or more."""
    ids = label_ids if len(label_ids) else np.zeros(len(whole), np.int64)
    counts = np.bincount(np.unique(np.stack([ids, whole]), axis=1)[0])[ids]
    found: Ints = counts[counts > 1] if (counts > 1).any() else counts
    return found


def check_occasions(references: References) -> None:
    """Check that some occasion can be held out.

    Raises:
        InputError: all photos of each class are from one occasion.
    """
    if not any(references.occasions):
        return
    numbers, ids = linked(references), references.label_ids
    ids = ids if len(ids) else np.zeros(len(numbers), np.int64)
    if len(np.unique(np.stack([ids, numbers]), axis=1).T) == len(np.unique(ids)):
        what = "the photos of each class are" if references.labels else "all photos are"
        raise InputError(
            f"{what} from a single occasion, so none can be held out for measuring; take photos"
            " on another occasion, or omit --occasions",
            "single-occasion",
        )
