"""The vote: `probabilities`, the share of each class among the neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.errors import InputError
from pocketknn.builder.references import References

if TYPE_CHECKING:
    from keras import KerasTensor


def attach(
    scores: KerasTensor, indices: KerasTensor, references: References
) -> dict[str, KerasTensor]:
    """Add `probabilities` (batch, C), which sum to 1, from (batch, k) indices.

    Raises:
        InputError: the references have no labels.
    """
    import keras

    if not references.labels:
        raise InputError("the head 'classify' needs labels; choose the head 'neighbors'")
    # One number per reference, expanded after the top-k: a one-hot table would be N × C.
    # float32 holds class numbers exactly up to 16.7 million.
    table = keras.layers.Embedding(len(references), 1, name="labels", trainable=False)
    numbers = keras.ops.squeeze(table(indices), axis=-1)
    table.set_weights([references.label_ids.astype(np.float32)[:, None]])
    votes = keras.ops.one_hot(keras.ops.cast(numbers, "int32"), len(references.labels))
    return {"probabilities": keras.ops.mean(votes, axis=1)}
