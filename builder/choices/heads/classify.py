"""The vote: `probabilities`, the share of each class among the neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors
from pocketknn.builder.choices.protocols import Constants, Examples, KerasTensor, Output, Voting
from pocketknn.builder.errors import InputError

VOTE = "soft"
CLASSES = True
NUMBERS = False
KIND = "classifier"
OUTPUT = Output("probabilities", "share of each label", "vote")


def usual(examples: Examples) -> bool:
    """Whether this head is the default, as it is if there are labels but no targets."""
    return bool(examples.labels) and not examples.target_names


def check(examples: Examples) -> None:
    """Check that there are labels."""
    if not examples.labels:
        raise InputError(
            "the head 'classify' needs labels; choose the head 'neighbors'", "no-labels"
        )


def largest(examples: Examples) -> float:
    """The largest share: 1, the whole vote."""
    return 1.0


def answers(found: Neighbors, voting: Voting) -> Floats:
    """Share of each class in the vote: (q, C); rows sum to 1.

    With a threshold there is a last class, unknown, which gets the whole vote if no reference is
    near enough.
    """
    examples, counts = voting.examples, voting.vote.weights(found.scores, voting)
    votes = np.zeros((len(counts), len(examples.labels)))
    rows = np.arange(len(counts))[:, None]
    np.add.at(votes, (rows, examples.label_ids[found.indices]), counts)
    if voting.balanced:
        votes *= class_weights(examples.label_ids, len(examples.labels))
    shares: Floats = votes / votes.sum(axis=1, keepdims=True)
    if voting.threshold is None:
        return shares
    known = (found.scores[:, :1] >= np.float32(voting.threshold)).astype(np.float64)
    return np.concatenate([shares * known, 1 - known], axis=1)


def errors(answers: Floats, examples: Examples, rows: Ints) -> Floats:
    """Share of wrong labels (1,)."""
    return np.array([(winners(answers) != examples.label_ids[rows]).mean()])


def class_weights(label_ids: NDArray[np.integer], classes: int) -> Floats:
    """Weights that balance classes of unequal size: n / (classes × size), 0 for an empty one.

    The same as scikit-learn's `class_weight="balanced"`.
    """
    sizes = np.bincount(label_ids, minlength=classes)
    found: Floats = np.divide(
        len(label_ids), classes * sizes, out=np.zeros(classes), where=sizes > 0
    )
    return found


def winners(votes: NDArray[Any]) -> Ints:
    """Class number with the largest vote (q, classes); ties go to the lower number.

    Votes are compared to six decimals, so that rounding does not decide ties.
    """
    best: Ints = np.asarray(votes).round(6).argmax(axis=1)
    return best


def constants(voting: Voting) -> Constants:
    """`labels` (n, 1), the class of each reference, and the constants of the vote.

    Also `class_weights` (C,) if the vote is balanced, and `threshold` if there is one.
    """
    ids, labels = voting.examples.label_ids, voting.examples.labels
    # One number per reference, expanded after the top-k: a one-hot table would be N × C.
    # float32 holds class numbers exactly up to 16.7 million.
    found: Constants = {"labels": ids.astype(np.float32)[:, None]}
    if voting.balanced:
        found["class_weights"] = class_weights(ids, len(labels)).astype(np.float32)
    found |= voting.vote.constants(voting)
    if voting.threshold is not None:
        found["threshold"] = np.array(voting.threshold, np.float32)
    return found


def attach(
    scores: KerasTensor, indices: KerasTensor, voting: Voting, given: Constants
) -> KerasTensor:
    """Like `answers`, but in the graph."""
    import keras

    ops, numbers = keras.ops, labels_of(indices, given)
    votes = ops.one_hot(ops.cast(numbers, "int32"), len(voting.examples.labels))
    counts = voting.vote.attach(scores, voting, given)
    if counts is None and not voting.balanced:
        shares = ops.mean(votes, axis=1)
    else:
        votes = votes if counts is None else votes * ops.expand_dims(counts, -1)
        total = ops.sum(votes, axis=1)
        if voting.balanced:
            total = total * given["class_weights"]
        shares = total / ops.sum(total, axis=-1, keepdims=True)
    return with_unknown(shares, scores, given)


def labels_of(indices: KerasTensor, given: Constants) -> KerasTensor:
    """The class of each reference (batch, k), as a float."""
    import keras

    table = keras.layers.Embedding(len(given["labels"]), 1, name="labels", trainable=False)
    numbers = keras.ops.squeeze(table(indices), axis=-1)
    table.set_weights([given["labels"]])
    return numbers


def with_unknown(shares: KerasTensor, scores: KerasTensor, given: Constants) -> KerasTensor:
    """The shares of the classes, and that of unknown if there is a threshold."""
    import keras

    ops = keras.ops
    if "threshold" not in given:
        return shares
    known = ops.cast(scores[:, :1] >= float(given["threshold"]), "float32")
    return ops.concatenate([shares * known, 1.0 - known], axis=-1)
