"""Distances; `protocols.Metric` is the interface."""

from __future__ import annotations

from pocketknn.builder.choices.protocols import Metric

from . import cosine, euclidean
from .minkowski import Minkowski

METRICS: dict[str, Metric] = {
    "cosine": cosine,
    "euclidean": euclidean,
    "manhattan": Minkowski(1, "negative manhattan distance"),
    "minkowski": Minkowski(3, "negative minkowski distance (p = 3)"),
}
