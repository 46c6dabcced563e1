"""All neighbours count the same."""

from __future__ import annotations

import numpy as np

from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.choices.protocols import Constants, KerasTensor, Voting

SOFT = False


def weights(scores: Floats, voting: Voting) -> Floats:
    """Ones."""
    return np.ones(scores.shape)


def constants(voting: Voting) -> Constants:
    """No constants."""
    return {}


def attach(scores: KerasTensor, voting: Voting, given: Constants) -> None:
    """None: all neighbours have the same weight."""
