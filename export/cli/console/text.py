"""Printing text, with control characters in names made harmless."""

from __future__ import annotations

import unicodedata

# Controls, lone surrogates, line and paragraph separators, and marks that change direction.
_CONTROLS = ("Cc", "Cs", "Zl", "Zp", "Cf")
_JOINERS = "\u200c\u200d"  # needed in Persian words and in emoji


def shown(text: str, keep: str = "") -> str:
    """Text for one line of a terminal: control characters are escaped, except those in `keep`."""
    return "".join(
        one.encode("unicode_escape").decode() if _is_control(one) and one not in keep else one
        for one in text
    )


def say(*lines: str) -> None:
    """Print lines without wrapping them."""
    for line in lines:
        print(shown(line))


def say_json(value: object) -> None:
    """Print readable JSON whose strings hold no control characters."""
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False)
    # Control characters occur only inside strings, where JSON has an escape for them.
    print("".join(json.dumps(c)[1:-1] if _is_control(c) and c != "\n" else c for c in text))


def _is_control(character: str) -> bool:
    if character.isascii():
        return not character.isprintable()
    return unicodedata.category(character) in _CONTROLS and character not in _JOINERS
