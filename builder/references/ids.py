"""Short names for references, and one for each."""

from __future__ import annotations

from collections.abc import Sequence

_SHORTEST = 12  # digits of a hash


def ids_of(hashes: Sequence[str]) -> list[str]:
    """The start of each hash, long enough to tell pictures apart; copies get -2, -3 and so on."""
    length = _SHORTEST
    while len({one[:length] for one in hashes}) < len(set(hashes)):
        length += 4
    return told_apart([one[:length] for one in hashes])


def told_apart(ids: Sequence[str]) -> list[str]:
    """The same ids, where one that was there before gets the first free of -2, -3, …."""
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
