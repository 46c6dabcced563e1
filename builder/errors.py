"""The one exception that means: what was given cannot be used."""

from __future__ import annotations


class InputError(ValueError):
    """The caller's input cannot be used; the message is one line that says what would be right.

    The command line prints the message and exits with 2.
    """
