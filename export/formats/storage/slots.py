"""Where in a converted file lies what depends on the references.

A place is what its format finds it by again: a list of numbers and names that JSON can hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Place = list[Any]
_MOST_SIZES = 6  # numbers of a constant that sizes may be among; biases of 8 bits are more
_OPTIONAL = {"rows"}  # some converters look all rows up at once, and then need no numbers for it
_TOGETHER = {"moved_bias": {"bias", "middle"}}  # what converters make one constant of


@dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """What is put into a file.

    Attributes:
        constants: the values, by the names of `builder.graph.wire.constants`.
        sizes: number of `references`, and where there are any, of `classes` and of `labels`, which
            unknown is one of; of `cells`, with the `room` in each, what a `cell` is wide, and the
            places `scanned`.
        labels: what each value of `probabilities` stands for; empty without a vote.
        large: the constants that have a row for each reference, which files are written with as
            they lie in memory.
    """

    constants: Mapping[str, NDArray[Any]]
    sizes: Mapping[str, int]
    labels: tuple[str, ...]
    large: tuple[str, ...]

    def small(self) -> dict[str, str]:
        """The constants that files hold in fewer bytes than float32, with the type of each."""
        return {
            name: values.dtype.name
            for name, values in self.constants.items()
            if values.dtype in (np.int8, np.float16)
        }


@dataclass(frozen=True, kw_only=True)
class Slots:
    """The places of all that a `Content` is.

    Attributes:
        constants: places of the tensors that hold a constant, by its name.
        sizes: places of numbers that are a size, by its name.
    """

    constants: dict[str, list[Place]] = field(default_factory=dict)
    sizes: dict[str, list[Place]] = field(default_factory=dict)

    def moved(self, behind: int, added: int) -> Slots:
        """The same after some were added behind a number that places begin with."""

        def renumbered(found: list[Place]) -> list[Place]:
            return [[first + added if first > behind else first, *rest] for first, *rest in found]

        return Slots(
            constants={name: renumbered(found) for name, found in self.constants.items()},
            sizes={name: renumbered(found) for name, found in self.sizes.items()},
        )


def locate(
    content: Content,
    tensors: Iterable[tuple[Place, NDArray[Any]]],
    numbers: Iterable[tuple[Place, int]],
) -> Slots:
    """Find made-up references in a converted file: their values and sizes are nowhere else.

    Args:
        content: the placeholder that was converted.
        tensors: every constant of the file, flat or in its shape; a matrix may be stored by
            columns, which is told by a last "T" of the place found.
        numbers: every number of the file that a size may be.

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
        raise ValueError(f"the converted file does not hold {', '.join(missing)} as they are")
    return slots


def sizes_in(place: Place, values: NDArray[Any]) -> list[tuple[Place, int]]:
    """The numbers of a constant that a size may be, each with its place in it behind `place`."""
    if values.dtype.kind != "i" or values.size > _MOST_SIZES:
        return []
    return [([*place, at], int(number)) for at, number in enumerate(values.ravel())]


def filled(slots: Slots, content: Content) -> Iterator[tuple[str, Place, NDArray[Any]]]:
    """Each constant by name, with each of its places and the values that belong there.

    A matrix is (rows, columns), the other way round where its place ends in "T".
    """
    for name, places in slots.constants.items():
        wanted = content.constants[name]
        for place in places:
            yield name, place, wanted.T if place[-1] == "T" else wanted


def resized(slots: Slots, content: Content) -> Iterator[tuple[Place, int]]:
    """Each place of a size, with the size that belongs there."""
    for name, places in slots.sizes.items():
        for place in places:
            yield place, content.sizes[name]


def _same(stored: NDArray[Any], wanted: NDArray[Any]) -> list[str] | None:
    """How a stored constant holds the wanted one: [], ["T"] by columns, or None."""
    if wanted.dtype.itemsize < 4:
        wanted = wanted.astype(np.float32)  # as the converters were given it
    if stored.size != wanted.size or stored.dtype.kind != wanted.dtype.kind:
        return None
    # A matrix of one column lies the same either way, so its shape counts where it is told.
    turned = wanted.ndim == stored.ndim == 2 and stored.shape != wanted.shape
    if not turned and np.array_equal(stored.ravel(), wanted.ravel()):
        return []
    by_columns = wanted.ndim == 2 and np.array_equal(stored.ravel(), wanted.T.ravel())
    return ["T"] if by_columns else None
