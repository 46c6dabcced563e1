"""Each neighbour counts 1 / distance, as with scikit-learn's `weights="distance"`."""

from __future__ import annotations

import numpy as np

from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.choices.protocols import Constants, KerasTensor, Voting

from . import exact_hits

SOFT = False


def weights(scores: Floats, voting: Voting) -> Floats:
    """The weights; if there are exact hits, only they count."""
    distances = np.maximum(voting.metric.ITSELF - scores, 0)
    return exact_hits.first(scores, voting, 1 / np.maximum(distances, voting.exact_hit))


def constants(voting: Voting) -> Constants:
    """`exact_hit`."""
    return {"exact_hit": np.array(voting.exact_hit, np.float32)}


def attach(scores: KerasTensor, voting: Voting, given: Constants) -> KerasTensor:
    """Like `weights`, but in the graph."""
    import keras

    ops, hit = keras.ops, float(given["exact_hit"])
    distances, hits, any_hit = exact_hits.attach(scores, voting, hit)
    # One of the two is 0. Not an addition: a quantiser would mistake it for one of the backbone's.
    return ops.maximum(hits, (1.0 - any_hit) / ops.maximum(distances, hit))
