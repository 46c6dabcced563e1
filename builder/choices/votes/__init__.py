"""How much each neighbour counts; `protocols.Vote` is the interface."""

from __future__ import annotations

from pocketknn.builder.choices.protocols import Vote

from . import distance, soft, uniform

VOTES: dict[str, Vote] = {"soft": soft, "uniform": uniform, "distance": distance}
