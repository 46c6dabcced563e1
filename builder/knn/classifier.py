"""A k-NN classifier that grows example by example, for users of ml5 or TensorFlow.js.

It behaves like `KNNClassifier` of @tensorflow-models/knn-classifier 1.2.6: cosine; each of the k
nearest examples has one vote; examples at equal distance are ordered by class, then by when they
were added; if classes tie, the first wins. Classes are in JavaScript's key order: names like "2"
and "10" by value, then the others as they were added. Differences: the arithmetic is float64, an
example of zeros scores 0 instead of NaN, and `index` also works after `load`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pocketknn.builder.choices.heads import classify
from pocketknn.builder.choices.metrics import cosine
from pocketknn.builder.choices.protocols import Voting
from pocketknn.builder.choices.votes import uniform
from pocketknn.builder.errors import InputError
from pocketknn.builder.references import ml5_json
from pocketknn.builder.references.ml5_forms import checked_label, key_rank
from pocketknn.builder.references.references import References

from . import exact


@dataclass(frozen=True, kw_only=True)
class Classification:
    """The result of `KNNClassifier.classify`.

    Attributes:
        label: the class with the most votes.
        index: its number in the order of the classes.
        confidences: each class's share of the votes, in the order of the classes.
    """

    label: str
    index: int
    confidences: dict[str, float]


class KNNClassifier:
    """Labelled examples that can be added, cleared, queried, saved and turned into `References`.

    >>> knn = KNNClassifier()
    >>> knn.add_example([1.0, 0.1], "cat")
    >>> knn.add_example([0.0, 1.0], "dog")
    >>> knn.classify([0.9, 0.2], k=1).label
    'cat'
    """

    def __init__(self) -> None:
        """A classifier without examples."""
        self._examples: dict[str, list[NDArray[np.float32]]] = {}

    @classmethod
    def of(cls, references: References) -> KNNClassifier:
        """A classifier over references; their classes keep their order.

        Raises:
            InputError: they have no labels.
        """
        if not references.labels:
            raise InputError("a classifier needs labels; these references have none", "no-labels")
        made = cls()
        for number, label in enumerate(references.labels):
            rows = references.vectors[references.label_ids == number]
            if len(rows):
                made._examples[label] = list(rows)
        return made

    def add_example(self, example: ArrayLike, label: str | int) -> None:
        """Add an example to a class, which may be new.

        Args:
            example: d numbers in any shape, as (d,) or (1, d).
            label: the class; a number becomes its name.

        Raises:
            InputError: the label is empty, the example differs in width from the others, or holds a
                value that is not finite in float32.
        """
        name, vector = checked_label(label), self._vector(example)
        if name not in self._examples:
            names = list(self._examples)
            behind = (i for i, other in enumerate(names) if key_rank(other) > key_rank(name))
            names.insert(next(behind, len(names)), name)
            self._examples = {other: self._examples.get(other, []) for other in names}
        self._examples[name].append(vector)

    def classify(self, example: ArrayLike, k: int = 3) -> Classification:
        """The class of an example by its k nearest neighbours.

        Args:
            example: d numbers in any shape.
            k: how many neighbours vote; all examples if there are fewer.

        Raises:
            InputError: there are no examples, k is below 1, or the example does not fit the others.
        """
        if k < 1:
            raise InputError(f"k must be at least 1, not {k}", "k-too-small")
        references = self.references()
        query = self._vector(example)[None]
        found = exact.search(query, references.vectors, min(k, len(references)))
        votes = classify.answers(found, Voting(examples=references, vote=uniform, metric=cosine))
        index = int(classify.winners(votes)[0])
        return Classification(
            label=references.labels[index],
            index=index,
            confidences=dict(zip(references.labels, votes[0].tolist(), strict=True)),
        )

    def clear_label(self, label: str | int) -> None:
        """Forget a class and its examples.

        Raises:
            InputError: there is no such class.
        """
        if str(label) not in self._examples:
            known = ", ".join(self._examples) or "none"
            raise InputError(
                f"there is no class {label!r}; the classes are: {known}", "unknown-class"
            )
        del self._examples[str(label)]

    def clear_all_labels(self) -> None:
        """Forget all examples."""
        self._examples.clear()

    def count_by_label(self) -> dict[str, int]:
        """How many examples each class has, in the order of the classes."""
        return {label: len(examples) for label, examples in self._examples.items()}

    def count(self) -> int:
        """How many examples there are."""
        return sum(map(len, self._examples.values()))

    def num_labels(self) -> int:
        """How many classes there are."""
        return len(self._examples)

    def references(self) -> References:
        """The examples as given, class by class.

        Raises:
            InputError: there are none.
        """
        if not self._examples:
            raise InputError("the classifier has no examples; add some first", "no-examples")
        rows = [row for examples in self._examples.values() for row in examples]
        labels = [label for label, examples in self._examples.items() for _ in examples]
        return References.of(np.stack(rows), labels, classes=list(self._examples))

    def save(self, path: Path | str) -> None:
        """Write the examples, scaled to length 1, for `load` here and in ml5.

        Raises:
            InputError: there are no examples, or the file cannot be written.
        """
        ml5_json.write(self.references(), path, unit_length=True)

    def load(self, path: Path | str) -> None:
        """Replace the examples by those in a file of ml5 or TensorFlow.js.

        Raises:
            InputError: the file is not a usable data set; the examples are unchanged.
        """
        self._examples = KNNClassifier.of(ml5_json.read(path))._examples

    def _vector(self, example: ArrayLike) -> NDArray[np.float32]:
        try:
            with np.errstate(over="ignore"):
                vector = np.array(example, np.float32).ravel()
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(
                "an example must be a table of numbers", "not-a-number-table"
            ) from error
        if not vector.size:
            raise InputError("an example needs at least one value", "no-values")
        if not np.isfinite(vector).all():
            raise InputError("the example holds a NaN or infinite value", "value-not-finite")
        width = next((examples[0].size for examples in self._examples.values()), vector.size)
        if vector.size != width:
            raise InputError(
                f"the example has {vector.size} values; the others have {width}", "width-mismatch"
            )
        return vector
