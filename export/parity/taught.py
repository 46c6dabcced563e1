"""Check files that grow: references that are forgotten and taught again are found as before.

Half of the classes are forgotten, and their references are taught instead, some as new classes. The
answers must then be those of exact k-NN over the remaining references and the taught examples. The
examples' rows are scattered in the memory among empty ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.references.references import References

if TYPE_CHECKING:
    from pocketknn.export.formats.protocol import Outputs

_NEW = 3  # every third example is of a new class


@dataclass(frozen=True, kw_only=True, eq=False)
class Taught:
    """A memory, and the references that a file has with it.

    Attributes:
        memory: (slots, d + 1) to feed to the file.
        fit: the references that are not forgotten, then the examples, in the order of their rows.
        places: (m,) the index in the file of each reference of `fit`.
    """

    memory: NDArray[np.float32]
    fit: Fit
    places: Ints

    def outputs(self, found: Outputs) -> Outputs:
        """The file's outputs with indices into `fit`, -1 for one that `fit` lacks."""
        row_of = np.full(int(self.places.max()) + 1, -1)
        row_of[self.places] = np.arange(len(self.places))
        k, indices = self.fit.k, found["indices"]
        known = np.where((indices >= 0) & (indices < len(row_of)), indices, 0)
        rows = np.where(known == indices, row_of[known], -1)
        return growth.without_nobody(found | {"indices": rows}, k)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Known(Fit):
    """The references and examples that a file has.

    Attributes:
        of: the file's own fit, as its threshold of exact hits depends on the built-in references.
    """

    of: Fit

    def exact_hit(self, precision: str) -> float:
        return self.of.exact_hit(precision)


def half(fit: Fit) -> Taught:
    """Teach half of the references, or, without classes, points between them."""
    references, slots = fit.references, fit.slots
    classes = len(references.labels) if fit.head.CLASSES else 0
    gone = np.arange(classes)[1::2][: slots // 2]
    live = np.flatnonzero(~np.isin(references.label_ids, gone)) if classes else _all(references)
    moved = np.setdiff1d(_all(references), live)
    vectors, room = references.vectors, slots - len(gone)
    if len(moved):
        moved = moved[np.linspace(0, len(moved) - 1, min(room, len(moved))).astype(int)]
        rows, numbers = vectors[moved], references.label_ids[moved].copy()
    else:
        some = _all(references)[: min(room, max(len(references) // 2, 1))]
        rows = (vectors[some] + vectors[(some + 1) % len(vectors)]) / 2
        numbers = references.label_ids[some].copy() if classes else np.zeros(len(some), int)
    if classes:
        numbers[::_NEW] = classes + np.arange(len(numbers[::_NEW])) % int(fit.spec.spare or 1)
    return taught(fit, rows, numbers, gone)


def taught(
    fit: Fit, vectors: NDArray[np.floating], numbers: Ints, gone: NDArray[np.integer]
) -> Taught:
    """A memory with gaps between its rows, and the exact k-NN to compare with.

    Args:
        fit: fit of the file.
        vectors: (m, d) embeddings of the examples.
        numbers: (m,) their classes; zeros without classes.
        gone: the classes to forget; their rows come last.
    """
    references = fit.references
    rows = np.concatenate(
        [growth.examples(vectors, numbers), growth.forgotten(gone, references.dim)]
    )
    rows[len(numbers) :, :-1] = references.vectors[:1]  # which must not count
    memory = growth.nothing(fit.slots, references.dim + 1)
    places = np.arange(len(rows)) * fit.slots // len(rows)
    memory[places] = rows
    labels, live = None, _all(references)
    if fit.head.CLASSES:
        live = live[~np.isin(references.label_ids, gone)]
        names = fit.classes
        labels = [names[one] for one in (*references.label_ids[live], *numbers)]
    known = References.of(
        np.concatenate([references.vectors[live], np.asarray(vectors, np.float32)]),
        labels,
        classes=fit.classes if labels else None,
    )
    spec = replace(fit.spec, k=min(fit.listed, len(known)), grow=None, spare=None)
    space = replace(fit.space, references=known, refit=None, known_pictures=None)
    return Taught(
        memory=memory,
        fit=_Known(spec=spec, space=space, index=fit.index, of=fit),
        places=np.concatenate([live, len(references) + places[: len(numbers)]]),
    )


def _all(references: References) -> Ints:
    return np.arange(len(references))
