"""A k-NN classifier that grows example by example, for users of ml5 or TensorFlow.js.

It behaves like `KNNClassifier` of @tensorflow-models/knn-classifier 1.2.6: cosine; each of the k
nearest examples has one vote; examples at equal distance are ordered by class, then by when they
were added; if classes tie, the first wins. Classes are in JavaScript's key order: names like "2"
and "10" by value, then the others as they were added. Differences: the arithmetic is float64, an
example of zeros scores 0 instead of NaN, `index` also works after `load`, and with a backbone
examples may be pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from pocketknn.builder.choices.heads import classify
from pocketknn.builder.choices.metrics import cosine
from pocketknn.builder.choices.protocols import Voting
from pocketknn.builder.choices.votes import uniform
from pocketknn.builder.embedding.given import Picture, is_picture, square_of
from pocketknn.builder.errors import InputError
from pocketknn.builder.references import ml5_json
from pocketknn.builder.references.ml5_forms import checked_label, key_rank
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import Spec

from . import exact

if TYPE_CHECKING:
    from pocketknn.builder.backbones.backbone import Backbone


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

    With a backbone, examples and queries may be pictures: paths, PIL images, or arrays (H, W, 3) of
    uint8 in RGB, such as a camera's frames.

    >>> knn = KNNClassifier(backbone="bundled")
    >>> knn.add_example(np.full((96, 96, 3), 250, np.uint8), "light")
    >>> knn.add_example(np.full((96, 96, 3), 5, np.uint8), "dark")
    >>> knn.classify(np.full((64, 48, 3), 240, np.uint8), k=1).label
    'light'
    """

    def __init__(self, backbone: str | Backbone | None = None, crop: str = "center") -> None:
        """A classifier without examples.

        Args:
            backbone: embeds pictures: a name as for `Spec`, or from `load_backbone`; None for
                vectors only. It is loaded when a picture first needs it.
            crop: how pictures become squares, as for `Spec`.
        """
        self._examples: dict[str, list[NDArray[np.float32]]] = {}
        self._given, self._crop = backbone, Spec(crop=crop).crop
        self._only_pictures = True  # as long as no vector of unknown origin is an example

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

    @cached_property
    def _backbone(self) -> Backbone | None:
        if not isinstance(self._given, str):
            return self._given
        from pocketknn.builder.backbones.load import load_backbone

        return load_backbone(Spec(backbone=self._given))

    def add_example(self, example: ArrayLike | Picture, label: str | int) -> None:
        """Add an example to a class, which may be new.

        Args:
            example: d numbers in any shape, such as (d,) or (1, d); with a backbone also a picture.
            label: the class; a number becomes its name.

        Raises:
            InputError: the label is empty, the example differs in width from the others, or holds a
                value that is not finite in float32; or the picture cannot be read.
        """
        name, vector = checked_label(label), self._vector(example)
        self._only_pictures &= self._is_picture(example)
        if name not in self._examples:
            names = list(self._examples)
            behind = (i for i, other in enumerate(names) if key_rank(other) > key_rank(name))
            names.insert(next(behind, len(names)), name)
            self._examples = {other: self._examples.get(other, []) for other in names}
        self._examples[name].append(vector)

    def classify(self, example: ArrayLike | Picture, k: int = 3) -> Classification:
        """The class of an example by its k nearest neighbours.

        Args:
            example: d numbers in any shape; with a backbone also a picture.
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
        self._only_pictures = True

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

        If all are pictures, an exported model can take pictures.

        Raises:
            InputError: there are none.
        """
        if not self._examples:
            raise InputError("the classifier has no examples; add some first", "no-examples")
        rows = [row for examples in self._examples.values() for row in examples]
        labels = [label for label, examples in self._examples.items() for _ in examples]
        backbone = self._backbone if self._only_pictures else None
        return References.of(
            np.stack(rows),
            labels,
            classes=list(self._examples),
            provenance=backbone.provenance(self._crop) if backbone else None,
        )

    def save(self, path: Path | str) -> None:
        """Write the examples, scaled to length 1, for `load` here and in ml5.

        Raises:
            InputError: there are no examples, or the file cannot be written.
        """
        ml5_json.write(self.references(), path, unit_length=True)

    def load(self, path: Path | str) -> None:
        """Replace the examples with those in a file of ml5 or TensorFlow.js.

        Raises:
            InputError: the file is not a usable data set; the examples are unchanged.
        """
        self._examples = KNNClassifier.of(ml5_json.read(path))._examples
        self._only_pictures = False

    def _is_picture(self, example: ArrayLike | Picture) -> bool:
        if self._given is not None:
            return is_picture(example)
        return isinstance(example, str | PathLike | Image.Image)  # an array may be a vector

    def _embedding(self, picture: Picture) -> NDArray[np.float32]:
        from pocketknn.builder.embedding.local import run

        if self._backbone is None:
            raise InputError(
                "this classifier takes vectors; for pictures give it a backbone, such as"
                ' KNNClassifier(backbone="bundled")',
                "takes-vectors",
            )
        pixels = square_of(picture, self._backbone.size, self._crop)
        return run(self._backbone, pixels[None]).ravel()

    def _vector(self, example: ArrayLike | Picture) -> NDArray[np.float32]:
        if self._is_picture(example):
            example = self._embedding(example)  # type: ignore[arg-type]  # which was just checked
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
