"""Minkowski distances, computed from differences to all references, without a product."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.growth import muted
from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.choices.protocols import Constants, KerasTensor, Rows


class Minkowski:
    """The distance (Σ |x - w|^p)^(1/p); p = 1 is the Manhattan distance."""

    ANGULAR = False
    BY_PRODUCT = False
    SPARE = 0
    ITSELF = 0.0
    EXACT_HIT: Mapping[str, float] = {"float32": 1e-6, "float16": 1e-2, "int8": 5e-2}

    def __init__(self, p: int, score: str) -> None:
        """A metric of order p; `score` describes its scores in words.

        Raises:
            ValueError: p is neither 1 nor 3, the only ones that the graph supports.
        """
        if p not in (1, 3):
            raise ValueError(f"the graph supports the Minkowski distance for p = 1 and 3, not {p}")
        self._p, self.SCORE = p, score

    def scores(self, queries: NDArray[np.floating], references: NDArray[np.floating]) -> Floats:
        """Negative distance of each query (q, d) to each reference (n, d): (q, n)."""
        from scipy.spatial.distance import cdist

        given = np.asarray(queries, np.float64), np.asarray(references, np.float64)
        if self._p == 1:
            return np.asarray(-cdist(*given, "cityblock"))
        return np.asarray(-cdist(*given, "minkowski", p=self._p))

    def ranking(self, rows: Floats) -> Callable[[Floats], Floats]:
        """A function from queries to their scores, which are used for ranking too."""
        return lambda queries: self.scores(queries, rows)

    def constants(self, rows: Rows) -> Constants:
        """`references` (n, r), and `rows` (n,), the row numbers."""
        matrix = rows.matrix
        return {"references": matrix, "rows": np.arange(len(matrix), dtype=np.int32)}

    def nearest(
        self, embedding: KerasTensor, given: Constants, k: int, mute: KerasTensor | None = None
    ) -> tuple[KerasTensor, KerasTensor]:
        """The k best of all scores."""
        import keras

        scores, indices = keras.ops.top_k(muted(self.all_scores(embedding, given), mute), k)
        return scores, indices

    def taught_scores(self, embedding: KerasTensor, rows: KerasTensor) -> KerasTensor:
        """Negative distances."""
        import keras

        ops = keras.ops
        return self._scores(ops.expand_dims(embedding, 1) - rows[:, : embedding.shape[1]])

    def all_scores(self, embedding: KerasTensor, given: Constants) -> KerasTensor:
        """Negative distances (batch, n)."""
        import keras

        ops = keras.ops
        matrix = given["references"]
        table = keras.layers.Embedding(*matrix.shape, name="references", trainable=False)
        # Look up all rows by number: a stock layer's weights enter the graph only by its call.
        rows = table(ops.zeros_like(embedding[:, :1], dtype="int32") + given["rows"])
        table.set_weights([matrix])
        return self._scores(rows - ops.expand_dims(embedding, 1))

    def _scores(self, differences: KerasTensor) -> KerasTensor:
        """Negative distances (batch, rows) from differences (batch, rows, r)."""
        import keras

        ops = keras.ops
        differences = ops.abs(differences)
        if self._p == 1:
            return -ops.sum(differences, axis=-1)
        cubes = differences * differences * differences
        return -ops.power(ops.sum(cubes, axis=-1), 1 / self._p)
