"""The columns of references, and the checks that they are consistent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pocketknn.builder.errors import InputError

if TYPE_CHECKING:
    from pocketknn.builder.backbones.provenance import Provenance

UNORDERED = "the references have no labels, so there is no order of classes"
_SHORTEST = 12  # digits of a hash


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """The columns of `References`, which documents them."""

    vectors: NDArray[np.float32]
    labels: tuple[str, ...]
    label_ids: NDArray[np.int64]
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    sha256: tuple[str, ...]
    targets: NDArray[np.float32]
    target_names: tuple[str, ...]
    provenance: Provenance | None
    occasions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        """Length d of an embedding."""
        return int(self.vectors.shape[1])

    def label_of(self, row: int) -> str:
        """The class of a row; "" without labels."""
        return self.labels[self.label_ids[row]] if self.labels else ""

    def without_vectors(self) -> Self:
        """The references with zeros for vectors, which take no memory."""
        return replace(self, vectors=np.broadcast_to(np.float32(0), self.vectors.shape))


def rows_of(values: ArrayLike, what: str) -> NDArray[np.float32]:
    """A read-only table of finite float32 numbers; a single column of targets may be (n,).

    Args:
        values: (n, d).
        what: name of a row in messages: "reference", or "the target of row".

    Raises:
        InputError: not a table of finite numbers.
    """
    try:
        given = np.asarray(values)
        if given.dtype.kind not in "biufO":  # numpy silently converts complex, dates and strings
            raise TypeError(f"{given.dtype} is not a number type")
        with np.errstate(over="ignore"):
            rows = given if _is_fixed(given) else np.array(given, np.float32)
    except OverflowError as error:
        raise InputError(f"{what}: a number is too large for float32", "value-too-large") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: not a table of numbers", "not-a-number-table") from error
    if rows.ndim == 1 and what != "reference":
        rows = rows[:, None]
    if rows.ndim != 2:
        raise InputError(
            f"references need a table (n, d) of numbers, not shape {rows.shape}",
            "not-a-number-table",
        )
    # Both are NaN if any value is. Asking each value would take a quarter of the memory again.
    if rows.size and not np.isfinite([rows.min(), rows.max()]).all():
        bad = int(np.argmin(np.isfinite(rows).all(axis=1)))
        raise InputError(f"{what} {bad} holds a NaN or infinite value", "value-not-finite")
    rows.flags.writeable = False
    return rows


def _is_fixed(given: NDArray[Any]) -> bool:
    """Whether an array is contiguous float32, and it and all its bases are read-only."""
    part: Any = given
    while isinstance(part, np.ndarray) and not part.flags.writeable:
        part = part.base
    whole = part is None and given.flags.c_contiguous
    return whole and given.dtype == np.float32


def texts_of(values: Sequence[str] | None, what: str, n: int) -> tuple[str, ...]:
    """A plain `str` for each of n references, not numpy's subclass; all "" for None.

    Raises:
        InputError: not strings, or not n of them.
    """
    texts = ("",) * n if values is None else names_of(values, what)
    if len(texts) != n:
        raise InputError(f"the number of {what} is {len(texts)}, not {n}", "length-mismatch")
    return texts


def names_of(values: Sequence[str], what: str) -> tuple[str, ...]:
    """A list of strings, as a tuple.

    Raises:
        InputError: not a list of strings.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{what} must be a list of strings, not {values!r:.40}", "not-a-text-list")
    texts = tuple(values)
    for row, one in enumerate(texts):
        if one is None and what == "labels":
            raise InputError(f"the label of reference {row} is empty", "empty-label")
        if not isinstance(one, str):
            raise InputError(
                f"{what} must be strings, but number {row} is {one!r:.40}", "not-a-text-list"
            )
    return tuple(map(str, texts))


def classes_of(
    labels: Sequence[str] | None, classes: Sequence[str] | None, n: int
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The classes in order, and the class number of each of n references, read-only.

    Args:
        labels: the class of each; None without labels.
        classes: their order; sorted by name when None.
        n: how many references there are.

    Raises:
        InputError: these are no strings, a label is empty or not among the classes, a class is
            listed twice, or there are classes without labels.
    """
    labels = None if labels is None else names_of(labels, "labels")
    classes = None if classes is None else names_of(classes, "classes")
    if labels is None:
        if classes:
            raise InputError(UNORDERED, "classes-without-labels")
        return (), _fixed(np.empty(0, np.int64))
    if len(labels) != n:
        raise InputError(f"the number of labels is {len(labels)}, not {n}", "length-mismatch")
    if not all(labels):
        raise InputError(
            f"the label of reference {list(map(bool, labels)).index(False)} is empty",
            "empty-label",
        )
    names = tuple(classes) if classes is not None else tuple(sorted(set(labels)))
    number = {name: i for i, name in enumerate(names)}
    if len(number) < len(names):
        raise InputError(f"the class {twice(names)!r} is listed twice", "class-listed-twice")
    missing = sorted(set(labels) - set(number))
    if missing:
        raise InputError(f"the class {missing[0]!r} is not in the list of classes", "unknown-class")
    return names, _fixed(np.array([number[label] for label in labels], np.int64))


def target_names_of(names: Sequence[str] | None, width: int) -> tuple[str, ...]:
    """The names of so many targets; "value" or "value 0", "value 1" and so on for None.

    Raises:
        InputError: they are not strings, not so many, or one occurs twice.
    """
    if names is None:
        names = ["value"] if width == 1 else [f"value {i}" for i in range(width)]
    found = names_of(names, "target_names")
    if len(found) != width:
        raise InputError(f"the number of names is {len(found)}, not {width}", "length-mismatch")
    if len(set(found)) < width:
        raise InputError(
            f"a target is named twice: {', '.join(map(repr, found))}", "duplicate-target"
        )
    return found


def twice(names: Sequence[str]) -> str | None:
    """The first name that occurs more than once."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def check_ids(ids: Sequence[str]) -> None:
    """Check that no two references share an id.

    Raises:
        InputError: two do.
    """
    if one := twice(ids):
        raise InputError(f"the id {one!r} is given to two references", "duplicate-id")


def _fixed(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    numbers.flags.writeable = False
    return numbers


def ids_of(hashes: Sequence[str]) -> list[str]:
    """A prefix of each hash, long enough to be unique; copies get the suffix -2, -3 and so on."""
    length = _SHORTEST
    while len({one[:length] for one in hashes}) < len(set(hashes)):
        length += 4
    return told_apart([one[:length] for one in hashes])


def told_apart(ids: Sequence[str]) -> list[str]:
    """The same ids made unique: a repeated one gets the first free suffix of -2, -3, …."""
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    found = []
    for one in ids:
        name = one
        while name in taken:
            numbers[one] = numbers.get(one, 1) + 1
            name = f"{one}-{numbers[one]}"
        taken.add(name)
        found.append(name)
    return found
