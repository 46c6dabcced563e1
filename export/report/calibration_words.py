"""How far confidence lies from the truth, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pocketknn.builder.knn.validation.calibration import BAD, CHANCE

from .wording import whole


def worst_bin(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The bin of a manifest's calibration that is furthest off, where it is worth a word."""
    if found["error"] < BAD or found["chance"] > CHANCE:
        return None
    worst: Mapping[str, Any] = max(
        found["bins"], key=lambda one: abs(one["confidence"] - one["right"])
    )
    return worst


def calibration_words(worst: Mapping[str, Any]) -> str:
    """What such a bin says: a clause."""
    return (
        f"where it says {whole(worst['confidence'])}, it is right {whole(worst['right'])} of the"
        f" time ({worst['answers']} answers)"
    )
