"""How far confidence lies from the truth, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pocketknn.builder.knn.validation.calibration import BAD, CHANCE

from .wording import whole


def worst_bin(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The bin of a manifest's calibration that is furthest off, where it is worth a word.

    Bins whose confidence is the same number in words are one: chance has dealt their answers.
    """
    if found["error"] < BAD or found["chance"] > CHANCE:
        return None
    together: dict[str, list[Mapping[str, Any]]] = {}
    for one in found["bins"]:
        together.setdefault(whole(one["confidence"]), []).append(one)
    joined = map(_joined, together.values())
    return max(joined, key=lambda one: abs(one["confidence"] - one["right"]))


def _joined(bins: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    answers = sum(one["answers"] for one in bins)
    means = {
        name: sum(one[name] * one["answers"] for one in bins) / answers
        for name in ("confidence", "right")
    }
    return means | {"answers": answers}


def calibration_words(worst: Mapping[str, Any]) -> str:
    """What such a bin says: a clause."""
    return (
        f"where it says {whole(worst['confidence'])}, it is right {whole(worst['right'])} of the"
        f" time ({worst['answers']} answers)"
    )
