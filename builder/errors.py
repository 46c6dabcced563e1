"""The one exception that means: what was given cannot be used."""

from __future__ import annotations


class InputError(ValueError):
    """The caller's input cannot be used; the message is one line that says what would be right.

    The command line prints message and code, and exits with 2.

    Attributes:
        code: a short name of what is wrong, such as `k-too-large`. It stays when words change.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message, code)  # both, or it could not be sent to another process
        self.code = code

    def __str__(self) -> str:
        return str(self.args[0])


def first_line(error: BaseException) -> str:
    """What another library's error says, short enough for a line of ours."""
    lines = str(error).strip().splitlines()
    return lines[0].strip()[:200] if lines else type(error).__name__


# A library that is not there or cannot be loaded, and memory that ends, say nothing of the file
# that they were wanted for.
OF_THE_MACHINE = (ImportError, MemoryError)
