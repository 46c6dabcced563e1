"""How much each neighbour counts, over some references."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.protocols import Voting
from pocketknn.builder.choices.votes import VOTES

if TYPE_CHECKING:
    from pocketknn.builder.spec import Spec

    from .metric_space import Space


def voting_of(spec: Spec, space: Space) -> Voting:
    """How much each neighbour counts, before any rejection.

    Args:
        spec: with a vote, and a temperature where that has one.
        space: the references.
    """
    return Voting(
        examples=space.references,
        vote=VOTES[str(spec.vote)],
        metric=METRICS[space.metric],
        exact_hit=space.exact_hit("float32"),
        temperature=float(spec.temperature or 1.0),
        balanced=bool(spec.balanced),
    )
