"""Which references are of the same picture.

Kept references have the whole hash of their picture, and `joined` goes by that. A model file has
ids alone, which begin as the hash does, and `edit` goes by `picture_of` these.
"""

from __future__ import annotations

from pocketknn.builder.photos.class_names import check_alike

from .references import References


def picture_of(name: str) -> str:
    """What of an id is the picture's: the start of its hash, without the number of a copy."""
    return name.partition("-")[0]


def joined(refs: References, more: References) -> tuple[References, int]:
    """References, behind them the ones of `more` that are not there yet, and how many were.

    The same picture with another label or other targets is another reference.

    Raises:
        InputError: they do not go together.
    """

    def identity(one: References, row: int) -> tuple[str, str, bytes]:
        return one.sha256[row], one.label_of(row), one.targets[row].tobytes()

    check_alike(refs.labels, more.labels)
    seen = {identity(refs, row) for row in range(len(refs))}
    new = []
    for row in range(len(more)):
        key = identity(more, row)
        if not more.sha256[row] or key not in seen:
            new.append(row)
            seen.add(key)
    both = refs.merge(more.select(new) if new else more)  # refuses what does not go together
    return (both if new else refs), len(more) - len(new)
