"""A number with its noun."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun, or with the clause that it begins, without commas.

    Args:
        number: how many.
        one: what follows a one, such as "photo" or "photo was left out".
        many: what follows any other number; "" for `one` with an s.
    """
    return f"{number} {one if number == 1 else many or f'{one}s'}"
