"""Which references show the same picture.

Saved references hold the full hash of their picture, which `joined` compares. A model file holds
only ids, which are prefixes of the hash; `edit` compares the `picture_of` each id.
"""

from __future__ import annotations

from pocketknn.builder.photos.class_names import check_alike

from .references import References


def picture_of(name: str) -> str:
    """The hash prefix in an id, without the number of a copy."""
    return name.partition("-")[0]


def joined(refs: References, more: References) -> tuple[References, int]:
    """`refs` followed by those in `more` that are new, and how many in `more` were not.

    The same picture with another label or other targets counts as new.

    Raises:
        InputError: they cannot be merged.
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
    both = refs.merge(more.select(new) if new else more)  # raises if they cannot be merged
    return (both if new else refs), len(more) - len(new)
