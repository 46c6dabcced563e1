"""Check that class names can be stored in a label file, and are not too similar."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from pocketknn.builder.errors import InputError

_LONGEST = 255


def check_classes(names: Iterable[str]) -> None:
    """Check that names of classes can be stored in a label file, and pass `check_alike`.

    Raises:
        InputError: a name fails a check.
    """
    ordered = sorted(names)
    for name in ordered:
        if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
            raise InputError(
                f"the class {name!r} has a control character; rename it", "bad-class-name"
            )
        if len(name) > _LONGEST:
            raise InputError(
                f"the class {name[:30]!r}… has a name of {len(name)} characters;"
                f" at most {_LONGEST} are allowed",
                "bad-class-name",
            )
    check_alike((), ordered)


def check_alike(known: Iterable[str], names: Iterable[str]) -> None:
    """Check that no new class could be mistaken for another, by file systems or readers.

    Args:
        known: existing classes, which are not checked.
        names: the new ones.

    Raises:
        InputError: a new one differs from another class only in case or Unicode form.
    """
    old = set(known)
    alike = {_plain(name): name for name in old}
    for name in dict.fromkeys(names):
        other = name if name in old else alike.setdefault(_plain(name), name)
        if other != name:
            raise InputError(
                f"the classes {other!r} and {name!r} differ only in case or Unicode form;"
                " give them the same name, or names that differ more",
                "class-names-alike",
            )


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
