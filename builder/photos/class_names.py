"""Names of classes: what a file of them can hold, and which of them pass for the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from pocketknn.builder.errors import InputError

_LONGEST = 255


def check_classes(names: Iterable[str]) -> None:
    """Refuse names of classes that a file of them cannot hold, or that `check_alike` refuses.

    Raises:
        InputError: there is one.
    """
    ordered = sorted(names)
    for name in ordered:
        if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
            raise InputError(f"the class {name!r} has a control character; rename it")
        if len(name) > _LONGEST:
            raise InputError(
                f"the class {name[:30]!r}… has a name of {len(name)} characters;"
                f" at most {_LONGEST} are taken"
            )
    check_alike((), ordered)


def check_alike(known: Iterable[str], names: Iterable[str]) -> None:
    """Refuse a new class that many file systems and all readers take for another one.

    Args:
        known: classes that are there already, whatever they are called.
        names: those that come in.

    Raises:
        InputError: one of these differs from another class only in case or Unicode form.
    """
    there = set(known)
    alike = {_plain(name): name for name in there}
    for name in dict.fromkeys(names):
        other = name if name in there else alike.setdefault(_plain(name), name)
        if other != name:
            raise InputError(
                f"the classes {other!r} and {name!r} differ only in case or Unicode form;"
                " give them one name, or two that differ"
            )


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
