"""The one exception for input that cannot be used."""

from __future__ import annotations


class InputError(ValueError):
    """The caller's input cannot be used; the one-line message says what to use instead.

    The command line prints message and code, and exits with 2.

    Attributes:
        code: short name of the fault, such as `k-too-large`; stable even if the message changes.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message, code)  # both, so that it can be pickled
        self.code = code

    def __str__(self) -> str:
        return str(self.args[0])


def first_line(error: BaseException) -> str:
    """The first line of another library's error, cut to fit into a message of ours."""
    lines = str(error).strip().splitlines()
    return lines[0].strip()[:200] if lines else type(error).__name__


# A missing or broken library, or a lack of memory, is not the fault of the file being read.
OF_THE_MACHINE = (ImportError, MemoryError)
