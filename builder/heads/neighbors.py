"""Image search: the neighbours themselves, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pocketknn.builder.references import References

if TYPE_CHECKING:
    from keras import KerasTensor


def attach(
    scores: KerasTensor, indices: KerasTensor, references: References
) -> dict[str, KerasTensor]:
    """Add nothing to the (batch, k) scores and indices."""
    return {}
