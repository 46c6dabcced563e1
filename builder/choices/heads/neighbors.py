"""Image search: only the neighbours themselves."""

from __future__ import annotations

from pocketknn.builder.choices.protocols import Constants, Examples, KerasTensor, Voting

# Used to measure the search if references have labels.
from .classify import answers as answers
from .classify import errors as errors
from .classify import largest as largest

VOTE = "uniform"
CLASSES = False
NUMBERS = False
KIND = "image search"
OUTPUT = None


def usual(examples: Examples) -> bool:
    """Whether this head is the default, as it is if there are neither labels nor targets."""
    return not examples.labels and not examples.target_names


def check(examples: Examples) -> None:
    """Accept any references."""


def constants(voting: Voting) -> Constants:
    """No constants."""
    return {}


def attach(
    scores: KerasTensor, indices: KerasTensor, voting: Voting, given: Constants
) -> KerasTensor:
    """Attach nothing, as this head has no `OUTPUT`."""
