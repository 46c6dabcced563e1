"""A number with its noun."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """A number, without commas, followed by its noun or by the rest of the clause.

    Args:
        number: how many.
        one: what follows the number 1, such as "photo" or "photo was left out".
        many: what follows any other number; "" for `one` with an s.
    """
    return f"{number} {one if number == 1 else many or f'{one}s'}"
