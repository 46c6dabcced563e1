"""The part of the graph that grows: examples from an input compete with the references.

Sums are written as differences: a quantiser would mistake additions for the backbone's and round
them to int8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.choices.growth import NAME, NOBODY, THERE
from pocketknn.builder.choices.heads import classify

if TYPE_CHECKING:
    from pocketknn.builder.choices.protocols import Constants, KerasTensor, Layer, Voting
    from pocketknn.builder.knn.fit import Fit

_SMALLEST = 1e-30  # keeps the vote of nobody at zero, instead of 0/0


def constants(head: Constants, fit: Fit, voting: Voting) -> Constants:
    """The constants of a graph that grows, which replace those of its head.

    A head with classes gets `label_ids` (n,), the class of each reference; and if the vote is
    balanced, `class_sizes` (classes,) instead of `class_weights`, as weights change with each
    example.
    """
    if not fit.head.CLASSES:
        return head
    ids, classes = voting.examples.label_ids, len(voting.examples.labels)
    found = head | {"label_ids": ids.astype(np.int32)}
    if found.pop("class_weights", None) is not None:
        found["class_sizes"] = np.bincount(ids, minlength=classes).astype(np.float32)
    return found


class Grown:
    """The memory in a graph.

    Attributes:
        rows: (slots, d + 1) the input, see `choices.growth`.
        mute: (n,) to subtract from the scores of the references; large where the class is
            forgotten. None without classes.
    """

    def __init__(self, fit: Fit, given: Constants, slots: int | None) -> None:
        """Create the input.

        Args:
            fit: the choices and the references.
            given: the constants.
            slots: rows of the input; None for any number.
        """
        import keras

        ops, dim = keras.ops, fit.references.dim
        self._fit, self._given = fit, given
        self.rows = self._rows = keras.Input(batch_shape=(slots, dim + 1), name=NAME)
        if slots is None and (missing := fit.listed - fit.k):  # so that enough can be listed
            empty = np.zeros((missing, dim + 1), np.float32)
            self._rows = ops.concatenate([self.rows, empty], axis=0)
        self._numbers = ops.transpose(self._rows[:, dim:])  # (1, slots)
        self.mute = None
        if fit.head.CLASSES:
            self._gone = ops.minimum(self._counts(-self._numbers), 1.0)  # (1, classes)
            mute_each = ops.squeeze(self._gone, 0) * NOBODY
            self.mute = ops.take(mute_each, given["label_ids"], axis=0)

    def attach(
        self,
        embedding: KerasTensor,
        projection: Layer | None,
        scores: KerasTensor,
        indices: KerasTensor,
        voting: Voting,
    ) -> dict[str, KerasTensor]:
        """The outputs over references and examples together.

        There are as many neighbours as the file lists. Scores descend; ties go to references, then
        to the lowest row. Indices of examples begin at n. Missing neighbours have a score of about
        -1e30, and no vote.

        Args:
            embedding: (batch, r), projected if there is a projection.
            projection: the layer that projects.
            scores: (batch, k) of the nearest references, descending; k may be less than the number
                listed.
            indices: (batch, k) their row numbers.
            voting: how neighbours vote.
        """
        import keras

        ops, k, n = keras.ops, self._fit.k, len(self._fit.references)
        rows = self._rows
        if projection is not None:
            rows = projection(rows[:, : self._fit.references.dim])
        taught = voting.metric.taught_scores(embedding, rows)
        near = ops.where(self._numbers > 0.5, taught, -NOBODY)
        best, places = ops.top_k(ops.concatenate([scores, near], axis=-1), self._fit.listed)
        own = ops.take_along_axis(indices, ops.minimum(places, k - 1), axis=1)
        # n - k is one number in the graph, so that `templates` can replace it.
        found = {"scores": best, "indices": ops.where(places < k, own, places + (n - k))}
        if (output := self._fit.head.OUTPUT) is not None:
            theirs = ops.zeros_like(near) - (1.0 - self._numbers)
            labels = classify.labels_of(indices, self._given)
            labels = ops.take_along_axis(ops.concatenate([labels, theirs], axis=-1), places, axis=1)
            found[output.name] = self._votes(best, labels, voting)
        return found

    def _votes(self, scores: KerasTensor, labels: KerasTensor, voting: Voting) -> KerasTensor:
        """The votes of the head classify, from neighbours that exist; zeros if there are none."""
        import keras

        ops, given = keras.ops, self._given
        weights = ops.cast(scores > THERE, "float32")
        if (counts := voting.vote.attach(scores, voting, given)) is not None:
            weights = weights * counts
        votes = ops.one_hot(ops.cast(labels, "int32"), len(self._fit.classes))
        total = ops.sum(votes * ops.expand_dims(weights, -1), axis=1)
        if voting.balanced:
            gone_or_minus = (self._gone - 1.0) * given["class_sizes"]
            total = total / ops.maximum(self._counts(self._numbers) - gone_or_minus, 1.0)
        shares = total / ops.maximum(ops.sum(total, axis=-1, keepdims=True), _SMALLEST)
        return classify.with_unknown(shares, scores, given)

    def _counts(self, numbers: KerasTensor) -> KerasTensor:
        """How many of the numbers (1, slots) are 1, 2 and so on: (1, classes)."""
        import keras

        ops = keras.ops
        # Other rows count as 0: in ONNX a negative number is a class from the end,
        # https://github.com/onnx/onnx/issues/4154
        whole = ops.cast(ops.maximum(numbers, 0.0), "int32")
        return ops.sum(ops.one_hot(whole, len(self._fit.classes) + 1), axis=1)[:, 1:]
