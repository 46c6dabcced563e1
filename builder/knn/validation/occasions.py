"""Occasions of the references: what is left out together, and what cannot be left out."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.errors import InputError

_MOST_PARTS = 10
# Mistakes fall with about this power of the number of occasions: 0 to 0.5 on flowers, insects and
# caltech under looks (colour, light, blur, zoom) of two to seven occasions.
_LEARNING = 1 / 4

if TYPE_CHECKING:
    from pocketknn.builder.references.references import References


def of_one_occasion(references: References) -> tuple[str, ...]:
    """The classes all of whose photos are of one occasion, so that none can be left out."""
    seen: dict[str, set[str]] = defaultdict(set)
    for row, (name, occasion) in enumerate(zip(references.ids, references.occasions, strict=True)):
        seen[references.label_of(row)].add(f"occasion {occasion}" if occasion else f"id {name}")
    alone = {label for label, names in seen.items() if len(names) == 1}
    counts = references.counts
    return tuple(label for label in references.labels if label in alone and counts[label] > 1)


def described(references: References) -> dict[str, Any] | None:
    """What is to be known of the occasions: how many, of how many photos, which classes have one.

    None where there are none.
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
    """Which references are of one occasion: (n,) numbers, the first row of each.

    A class of a single occasion is one by itself: it stays when others are left out, and the other
    classes of its occasion can be asked for nevertheless.
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
    """Which references are left out together: (n,) numbers, the first row of each.

    A photo of an occasion goes with that, whatever it looks like: photos that look alike would else
    chain occasions to one another until none could be left out.

    Args:
        references: with or without occasions.
        pictures: (n,) which of them show one picture, by which photos of no occasion go.
    """
    if not any(references.occasions):
        return pictures
    occasions = linked(references)
    named = np.array([bool(one) for one in references.occasions])
    return np.where(named, occasions, occasions[pictures])


def parts_of(label_ids: Ints, whole: Ints) -> int:
    """In how many parts to leave occasions out: as many as the class of a median photo has.

    So every class loses one of its occasions in each part, and none has fewer than the others.
    """
    return int(np.clip(np.median(_of_class(label_ids, whole)), 2, _MOST_PARTS))


def fewer_mistakes(label_ids: Ints, whole: Ints, parts: int) -> float:
    """Which share of the mistakes made without an occasion are made with all of them.

    Args:
        label_ids: (n,) class numbers; empty where there are no classes.
        whole: (n,) numbers of what is left out together.
        parts: in how many parts it was.
    """
    parts = int(min(parts, np.median(_of_class(label_ids, whole))))
    return float((1 - 1 / parts) ** _LEARNING) if parts > 1 else 1.0


def _of_class(label_ids: Ints, whole: Ints) -> Ints:
    """How many occasions the class of each photo has, of the classes that have two or more."""
    ids = label_ids if len(label_ids) else np.zeros(len(whole), np.int64)
    counts = np.bincount(np.unique(np.stack([ids, whole]), axis=1)[0])[ids]
    found: Ints = counts[counts > 1] if (counts > 1).any() else counts
    return found


def check_occasions(references: References) -> None:
    """Refuse occasions of which none can be left out.

    Raises:
        InputError: all photos of each class are of one occasion.
    """
    if not any(references.occasions):
        return
    numbers, ids = linked(references), references.label_ids
    ids = ids if len(ids) else np.zeros(len(numbers), np.int64)
    if len(np.unique(np.stack([ids, numbers]), axis=1).T) == len(np.unique(ids)):
        what = "the photos of each class are" if references.labels else "all photos are"
        raise InputError(
            f"{what} of a single occasion, so none can be left out to measure by; take some on"
            " another occasion, or leave out --occasions"
        )
