"""Compare two answers to the same photos, and answers with the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.knn import exact
from pocketknn.builder.spec import UNKNOWN
from pocketknn.builder.wording import counted

if TYPE_CHECKING:
    from pocketknn.builder.photos.photo import Photo
    from pocketknn.export.formats.protocol import Outputs

_NAMED = 5  # classes in a line
Indices = NDArray[np.integer]  # (q, k) rows of references


def first_equal(one: Indices, other: Indices) -> float:
    """Share of the queries whose nearest reference is the same."""
    return float((one[:, 0] == other[:, 0]).mean())


def recall(wanted: Indices, given: Indices) -> float:
    """Share of the wanted neighbours that are among the given ones, in any order."""
    return float(exact.shared(wanted, given).mean())


def accuracy(outputs: Outputs, labels: Sequence[str], photos: Sequence[Photo]) -> float | None:
    """Share of the photos whose label won; None without labels or a vote.

    A photo of a class the model does not know always counts as an error, see `foreign`.
    """
    if "probabilities" not in outputs or not any(photo.label for photo in photos):
        return None
    won = [labels[number] for number in exact.winners(outputs["probabilities"])]
    return float(np.mean([one == photo.label for one, photo in zip(won, photos, strict=True)]))


def foreign(labels: Sequence[str], photos: Sequence[Photo]) -> Counter[str]:
    """Count the photos of each class that the model does not know.

    Args:
        labels: the model's classes; empty if it does not vote.
        photos: photos that all have a class, or none of them.
    """
    known = set(labels)
    if not known or not any(photo.label for photo in photos):
        return Counter()
    return Counter(photo.label for photo in photos if photo.label not in known)


def foreign_lines(labels: Sequence[str], photos: Sequence[Photo]) -> list[str]:
    """A line about photos whose class the model does not know, if there are any."""
    counts = foreign(labels, photos)
    if not counts:
        return []
    names = [repr(label) if label else "no class" for label in sorted(counts)]
    more = ", …" if len(names) > _NAMED else ""
    one = "of the photos is in a class the model does not know"
    many = "of the photos are in classes the model does not know"
    return [
        f"{counted(counts.total(), one, many)}: {', '.join(names[:_NAMED])}{more};"
        " each counts as an error in the accuracy;"
        " rename their folders if the model has these classes under other names"
        + (f", or to {UNKNOWN} if they are strangers" if UNKNOWN in labels else "")
    ]


def same_label(one: Outputs, other: Outputs) -> float | None:
    """Share of the queries that get the same class; None without a vote."""
    if "probabilities" not in one:
        return None
    won, now = (exact.winners(outputs["probabilities"]) for outputs in (one, other))
    return float((won == now).mean())


def unknown(outputs: Outputs, manifest: dict[str, Any]) -> float | None:
    """Share of the queries that are called unknown; None without a class unknown."""
    if UNKNOWN not in manifest["labels"]:
        return None
    won = exact.winners(outputs["probabilities"])
    return float((won == manifest["labels"].index(UNKNOWN)).mean())
