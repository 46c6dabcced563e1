"""The one exception that means: what was given cannot be used."""

from __future__ import annotations


class InputError(ValueError):
    """The caller's input cannot be used; the message is one line that says what would be right.

    The command line prints the message and exits with 2.
    """


def first_line(error: BaseException) -> str:
    """What another library's error says, short enough for a line of ours."""
    lines = str(error).strip().splitlines()
    return lines[0].strip()[:200] if lines else type(error).__name__


# A library that is not there or cannot be loaded, and memory that ends, say nothing of the file
# that they were wanted for.
OF_THE_MACHINE = (ImportError, MemoryError)
