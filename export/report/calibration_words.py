"""How far confidence is from accuracy, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pocketknn.builder.knn.validation.calibration import BAD, CHANCE
from pocketknn.builder.wording import counted

from .wording import whole


def worst_bin(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The bin whose confidence is farthest from its accuracy; None if calibration is good enough.

    Bins whose confidence rounds to the same number are merged: only chance separates them.
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
    """A clause that describes such a bin."""
    return (
        f"when it is {whole(worst['confidence'])} confident, it is right {whole(worst['right'])} of"
        f" the time ({counted(worst['answers'], 'answer')})"
    )
