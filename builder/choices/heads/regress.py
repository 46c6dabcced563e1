"""Regression: `value`, the mean of the neighbours' numeric targets."""

from __future__ import annotations

import numpy as np

from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors
from pocketknn.builder.choices.protocols import Constants, Examples, KerasTensor, Output, Voting
from pocketknn.builder.errors import InputError

VOTE = "uniform"
CLASSES = False
NUMBERS = True
KIND = "regression"
OUTPUT = Output("value", "mean of each target over the neighbours", "value")


def usual(examples: Examples) -> bool:
    """Whether this head is the default, as it is if there are targets."""
    return bool(examples.target_names)


def check(examples: Examples) -> None:
    """Check that there are targets."""
    if not examples.target_names:
        raise InputError(
            "the head 'regress' needs numeric targets: set --target-column", "no-targets"
        )


def largest(examples: Examples) -> float:
    """The largest target."""
    return max(float(np.abs(examples.targets).max()), 1e-30)


def answers(found: Neighbors, voting: Voting) -> Floats:
    """Weighted mean of the neighbours' targets: (q, T)."""
    counts = voting.vote.weights(found.scores, voting)
    near = voting.examples.targets.astype(np.float64)[found.indices]
    means: Floats = (near * counts[..., None]).sum(axis=1) / counts.sum(axis=1, keepdims=True)
    return means


def errors(answers: Floats, examples: Examples, rows: Ints) -> Floats:
    """Mean squared error of each target (T,)."""
    return np.asarray(((answers - examples.targets[rows]) ** 2).mean(axis=0))


def constants(voting: Voting) -> Constants:
    """`targets` (n, T), and the constants of the vote."""
    return {"targets": voting.examples.targets} | voting.vote.constants(voting)


def attach(
    scores: KerasTensor, indices: KerasTensor, voting: Voting, given: Constants
) -> KerasTensor:
    """Like `answers`, but in the graph."""
    import keras

    ops, targets = keras.ops, given["targets"]
    table = keras.layers.Embedding(*targets.shape, name="targets", trainable=False)
    near = table(indices)
    table.set_weights([targets])
    counts = voting.vote.attach(scores, voting, given)
    if counts is None:
        return ops.mean(near, axis=1)
    # Divide first: the weight of an exact hit times a large target would overflow.
    shares = counts / ops.sum(counts, axis=-1, keepdims=True)
    return ops.sum(near * ops.expand_dims(shares, -1), axis=1)
