"""The places in a converted file that hold data depending on the references.

A place tells its format where a value is; it is a list of numbers and names that JSON can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Place = list[Any]
INPUT = ""  # begins the place of an input's axis in formats that call tensors by names
_MOST_SIZES = 6  # maximum length of a constant that may hold sizes; int8 biases are longer
_OPTIONAL = {"rows"}  # some converters look up all rows at once, and then need no row numbers
_TOGETHER = {"moved_bias": {"bias", "middle"}}  # constants that converters fold into one


@dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """The content of a file.

    Attributes:
        constants: the values, by the names of `builder.graph.wire.constants`.
        sizes: the number of `references`, the `free_sizes` of a `builder.knn.fit.Fit`, and, if they
            apply, the numbers of `classes` and of `labels`, which include unknown. In files that
            grow, `classes` includes those that may be taught, `numbers` is one more than that, and
            `examples_from` is the number of references minus k.
        labels: the classes in the order of `probabilities`; empty without a vote.
        large: the constants with one row per reference, which are written directly from memory.
    """

    constants: Mapping[str, NDArray[Any]]
    sizes: Mapping[str, int]
    labels: tuple[str, ...]
    large: tuple[str, ...]

    def small(self) -> dict[str, str]:
        """The constants that files store in fewer bytes than float32, with their types."""
        return {
            name: values.dtype.name
            for name, values in self.constants.items()
            if values.dtype in (np.int8, np.float16)
        }


@dataclass(frozen=True, kw_only=True)
class Slots:
    """The places of everything in a `Content`.

    Attributes:
        constants: places of the tensors that hold a constant, by its name.
        sizes: places of numbers that are a size, by its name.
    """

    constants: dict[str, list[Place]] = field(default_factory=dict)
    sizes: dict[str, list[Place]] = field(default_factory=dict)

    def moved(self, behind: int, added: int) -> Slots:
        """The slots, renumbered because `added` items were inserted after number `behind`."""

        def renumbered(found: list[Place]) -> list[Place]:
            return [[first + added if first > behind else first, *rest] for first, *rest in found]

        return self._changed(renumbered)

    def without(self, first: int | str) -> Slots:
        """The slots without places that begin like this, whose values have been replaced."""
        return self._changed(lambda found: [place for place in found if place[0] != first])

    def _changed(self, change: Callable[[list[Place]], list[Place]]) -> Slots:
        return Slots(
            constants={name: change(found) for name, found in self.constants.items()},
            sizes={name: change(found) for name, found in self.sizes.items()},
        )


def locate(
    content: Content,
    tensors: Iterable[tuple[Place, NDArray[Any]]],
    numbers: Iterable[tuple[Place, int]],
) -> Slots:
    """Locate made-up references in a converted file by their unique values and sizes.

    Args:
        content: the placeholder that was converted.
        tensors: every constant of the file, flat or in its shape; for a matrix stored by columns
            the place found ends in "T".
        numbers: every number of the file that may be a size.

    Raises:
        ValueError: a constant is not found.
    """
    slots = Slots()
    for place, stored in tensors:
        for name, wanted in content.constants.items():
            if (way := _same(stored, wanted)) is not None:
                slots.constants.setdefault(name, []).append([*place, *way])
                break
    for place, number in numbers:
        for name, size in content.sizes.items():
            if number == size:
                slots.sizes.setdefault(name, []).append(place)
                break
    found = slots.constants.keys() | _OPTIONAL
    for whole, parts in _TOGETHER.items():
        found |= parts if whole in slots.constants else {whole}
    if missing := sorted(content.constants.keys() - found):
        raise ValueError(f"the converted file does not hold {', '.join(missing)} unchanged")
    return slots


def sizes_in(place: Place, values: NDArray[Any]) -> list[tuple[Place, int]]:
    """The numbers of a constant that may be a size, each with its index appended to `place`."""
    if values.dtype.kind != "i" or values.size > _MOST_SIZES:
        return []
    return [([*place, at], int(number)) for at, number in enumerate(values.ravel())]


def filled(slots: Slots, content: Content) -> Iterator[tuple[str, Place, NDArray[Any]]]:
    """Each constant by name, with each of its places and the values that belong there.

    A matrix is (rows, columns), transposed if its place ends in "T".
    """
    for name, places in slots.constants.items():
        wanted = content.constants[name]
        for place in places:
            yield name, place, wanted.T if place[-1] == "T" else wanted


def resized(slots: Slots, content: Content) -> Iterator[tuple[Place, int]]:
    """Each place in the file where a size is stored, and the size to write there."""
    for name, places in slots.sizes.items():
        for place in places:
            yield place, content.sizes[name]


def _same(stored: NDArray[Any], wanted: NDArray[Any]) -> list[str] | None:
    """How a stored constant holds the wanted one: [] by rows, ["T"] by columns, None not at all."""
    if wanted.dtype.itemsize < 4:
        wanted = wanted.astype(np.float32)  # as given to the converters
    if stored.size != wanted.size or stored.dtype.kind != wanted.dtype.kind:
        return None
    # A matrix of one column is stored the same either way, so its shape decides if known.
    turned = wanted.ndim == stored.ndim == 2 and stored.shape != wanted.shape
    if not turned and np.array_equal(stored.ravel(), wanted.ravel()):
        return []
    by_columns = wanted.ndim == 2 and np.array_equal(stored.ravel(), wanted.T.ravel())
    return ["T"] if by_columns else None
