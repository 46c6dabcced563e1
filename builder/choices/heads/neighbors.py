"""Image search: the neighbours themselves, and nothing else."""

from __future__ import annotations

from pocketknn.builder.choices.protocols import Constants, Examples, KerasTensor, Voting

# Where references have labels, they tell how good the search is.
from .classify import answers as answers
from .classify import errors as errors
from .classify import largest as largest

VOTE = "uniform"
CLASSES = False
NUMBERS = False
KIND = "image search"
OUTPUT = None


def usual(examples: Examples) -> bool:
    """For references that are nothing but pictures."""
    return not examples.labels and not examples.target_names


def check(examples: Examples) -> None:
    """All references will do."""


def constants(voting: Voting) -> Constants:
    """Nothing."""
    return {}


def attach(
    scores: KerasTensor, indices: KerasTensor, voting: Voting, given: Constants
) -> KerasTensor:
    """Nothing: it has no `OUTPUT`."""
