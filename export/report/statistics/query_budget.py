"""How much a report may measure: its time stays the same however many references there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pocketknn.builder.choices.metrics import METRICS

if TYPE_CHECKING:
    from pocketknn.builder.knn.metric_space import Space

_FEWEST = 50
_MOST_SCORES = 5e7  # that products compute: some seconds
_MOST_DIFFERENCES = 1e9  # values, of metrics that no product computes: about a second


def affordable(space: Space, stored: int, most_scores: float = _MOST_SCORES) -> int:
    """How many queries may be held against so many references."""
    if METRICS[space.metric].BY_PRODUCT:
        return max(_FEWEST, int(most_scores / stored))
    differences = stored * space.rows.shape[1]
    return max(_FEWEST, int(min(most_scores / stored, _MOST_DIFFERENCES / differences)))
