"""How many examples and classes may be taught to files that grow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pocketknn.builder.errors import InputError

from .growth import NOTE, taught_labels

if TYPE_CHECKING:
    from .protocols import Head

_SPARE = 8  # default number of classes
_MOST_BYTES = 1 << 28  # of a memory, which a phone must hold


def check(grow: int | None, spare: int | None, head: Head | None) -> None:
    """Check how many examples and classes may be taught.

    Args:
        grow: how many examples; None for files that do not grow.
        spare: how many classes; None for the default.
        head: how neighbours become answers; None if it is not known yet.

    Raises:
        InputError: one of them is out of range, or the head cannot be taught.
    """
    if grow is None:
        if spare is not None:
            raise InputError(
                "spare classes can be taught only to files that grow; set grow too",
                "spare-needs-grow",
            )
        return
    if grow < 1:
        raise InputError(f"grow must be at least 1 example, not {grow}", "grow-out-of-range")
    if spare is not None and not 1 <= spare <= grow:
        raise InputError(
            f"spare must be 1 to {grow}, not {spare}, as each class needs an example",
            "spare-out-of-range",
        )
    if head and head.NUMBERS:
        raise InputError(
            f"a file for {head.KIND} cannot grow, as apps can teach classes but not numbers; leave"
            " out grow",
            "grow-needs-classes",
        )
    if spare is not None and head and not head.CLASSES:
        raise InputError(
            f"a file for {head.KIND} has no classes; leave out spare", "spare-needs-classes"
        )


def check_room(grow: int, dim: int) -> None:
    """Check that a memory for embeddings of this length fits on a phone.

    Raises:
        InputError: it does not.
    """
    needed = 4 * grow * (dim + 1)
    if needed > _MOST_BYTES:
        raise InputError(
            f"a memory of {grow} examples of {dim} values takes {needed >> 20} MiB, above the limit"
            f" of {_MOST_BYTES >> 20} MiB; use at most {_MOST_BYTES // (4 * (dim + 1))}",
            "grow-out-of-range",
        )


def check_names(labels: Iterable[str], grow: int | None, spare: int | None) -> None:
    """Check that no class has a name that files use for classes to be taught.

    Raises:
        InputError: a class has such a name, or is named `pocketknn`, which saved memories reserve.
    """
    taken = {*taught_labels(classes(grow, spare)), NOTE} if grow is not None else set()
    for name in sorted({*labels} & taken):
        raise InputError(
            f"the class name {name!r} is reserved in files that grow; rename your class",
            "reserved-class-name",
        )


def classes(grow: int | None, spare: int | None) -> int:
    """How many classes may be taught, by default at most 8; 0 for files that do not grow."""
    return 0 if grow is None else spare or min(_SPARE, grow)
