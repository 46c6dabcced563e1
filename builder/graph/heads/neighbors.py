"""Image search: the neighbours themselves, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras import KerasTensor

    from pocketknn.builder.graph.index_layers import Constants
    from pocketknn.builder.knn.resolve import Fit


def constants(fit: Fit, exact_hit: float) -> Constants:
    """Nothing."""
    return {}


def attach(
    scores: KerasTensor, indices: KerasTensor, fit: Fit, given: Constants
) -> dict[str, KerasTensor]:
    """Add nothing to the (batch, k) scores and indices."""
    return {}
