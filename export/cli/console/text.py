"""What is printed: whatever names hold, no character there gives orders to the terminal."""

from __future__ import annotations

import sys
import unicodedata

# Controls, lone surrogates, line and paragraph separators, and marks that turn the direction.
_ORDERS = ("Cc", "Cs", "Zl", "Zp", "Cf")
_JOINERS = "\u200c\u200d"  # of Persian words and of emoji


def shown(text: str, keep: str = "") -> str:
    """A text on one line of a terminal, whatever a file's name holds but for characters to keep."""
    return "".join(
        one.encode("unicode_escape").decode() if _is_order(one) and one not in keep else one
        for one in text
    )


def command_line(*words: str) -> str:
    """What to type for a command, as the shells of this system read it."""
    import shlex
    import subprocess

    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def say(*lines: str) -> None:
    """Print lines as they are, not wrapped."""
    for line in lines:
        print(shown(line))


def say_json(value: object) -> None:
    """Print JSON that is readable, and that no text in it can turn into something else."""
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False)
    # Such characters are only ever inside of strings, where JSON has an escape for them.
    print("".join(json.dumps(c)[1:-1] if _is_order(c) and c != "\n" else c for c in text))


def _is_order(character: str) -> bool:
    if character.isascii():
        return not character.isprintable()
    return unicodedata.category(character) in _ORDERS and character not in _JOINERS
