"""Each neighbour counts exp(score / temperature), so that shares are probabilities."""

from __future__ import annotations

import numpy as np

from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.choices.protocols import Constants, KerasTensor, Voting

from . import exact_hits

SOFT = True


def weights(scores: Floats, voting: Voting) -> Floats:
    """The weights; only exact hits count, if any. The nearest has weight 1, to prevent overflow."""
    nearer = scores - scores.max(axis=1, keepdims=True)
    return exact_hits.first(scores, voting, np.exp(nearer * sharpness(voting.temperature)))


def sharpness(temperature: float) -> float:
    """One over the temperature, rounded to float32 as in the graph."""
    return float(np.float32(1 / temperature))


def constants(voting: Voting) -> Constants:
    """`exact_hit` and `sharpness`."""
    return {
        "exact_hit": np.array(voting.exact_hit, np.float32),
        "sharpness": np.array(sharpness(voting.temperature), np.float32),
    }


def attach(scores: KerasTensor, voting: Voting, given: Constants) -> KerasTensor:
    """Like `weights`, but in the graph."""
    import keras

    ops = keras.ops
    _, hits, any_hit = exact_hits.attach(scores, voting, float(given["exact_hit"]))
    # The first is the nearest. Subtracting before scaling keeps precision at any sharpness.
    shares = ops.exp((scores - scores[:, :1]) * float(given["sharpness"]))
    return ops.maximum(hits, (1.0 - any_hit) * shares)
