"""Files that grow: an app passes the examples it was taught as rows of the input `memory`.

A row is an embedding as the file gave it, before any projection, followed by a number: c + 1 for an
example of class c, 0 for an empty row, and -(c + 1) to forget class c of the references. Rows may
be in any order, with gaps. Without classes, any number above 0 marks an example.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from .protocols import KerasTensor

NAME = "memory"  # the input
# The key of what a saved memory says of itself, beside its classes: no class may be named so.
NOTE = "pocketknn"
EMBEDDING = "embedding"  # the further output, from which rows are made
# Above any score: it is subtracted from those of forgotten references, and minus it is the score
# of rows that are no example.
NOBODY = 1e30
THERE = -0.1 * NOBODY  # examples, and references that are not forgotten, have higher scores


def taught_labels(spare: int) -> tuple[str, ...]:
    """A file's placeholder names for classes that may be taught; apps show names of their own."""
    return tuple(f"taught {number + 1}" for number in range(spare))


def examples(embeddings: ArrayLike, classes: ArrayLike) -> NDArray[np.float32]:
    """Rows (m, d + 1) for embeddings (m, d) of these classes (m,), numbered from 0."""
    numbers = np.asarray(classes, np.float32).reshape(-1, 1)
    return np.concatenate([np.asarray(embeddings, np.float32), numbers + 1], axis=1)


def forgotten(classes: ArrayLike, dim: int) -> NDArray[np.float32]:
    """Rows (m, dim + 1) that forget these classes (m,), numbered from 0."""
    numbers = np.asarray(classes, np.float32).reshape(-1, 1)
    return np.concatenate([np.zeros((len(numbers), dim), np.float32), -(numbers + 1)], axis=1)


def nothing(slots: int, width: int) -> NDArray[np.float32]:
    """A memory (slots, width) of empty rows; width must be d + 1 if it is to be filled."""
    return np.zeros((slots, width), np.float32)


def without_nobody(outputs: Mapping[str, NDArray[Any]], k: int) -> dict[str, NDArray[Any]]:
    """A file's outputs without the empty places after its last neighbour.

    Args:
        outputs: their `scores` and `indices` have a column for each neighbour the file lists.
        k: how many neighbours there are.
    """
    return {**outputs} | {name: outputs[name][:, :k] for name in ("scores", "indices")}


def muted(
    scores: KerasTensor, mute: KerasTensor | None, rows: KerasTensor | None = None
) -> KerasTensor:
    """Scores of references in a graph, with those of forgotten references lowered.

    Args:
        scores: (batch, n) of all references, or (batch, m) of some.
        mute: (n,) to subtract from the scores; None to subtract nothing.
        rows: (batch, m) the references that the scores belong to; None for all.
    """
    import keras

    if mute is None:
        return scores
    return scores - (mute if rows is None else keras.ops.take(mute, rows, axis=0))
