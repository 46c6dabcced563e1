"""Keep the converters' chatter off the user's screen."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from .text import shown

_people: list[TextIO] = []  # the real stderr, while `quiet` is active


def note(line: str) -> None:
    """Print a message for people on stderr; stdout is for the answer, which programs may read."""
    print(shown(line), file=_people[-1] if _people else sys.stderr, flush=True)


def open_closed() -> None:
    """Replace stdin, stdout or stderr with the null device if the caller has closed it.

    Python sets a closed stream to None. The next file opened would get its descriptor, and
    converters would write into that file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open(mode, encoding="utf-8", newline="")  # noqa: SIM115  # until the process ends
            setattr(sys, name, nowhere)


@contextmanager
def quiet() -> Iterator[TextIO]:
    """Redirect stderr to a temporary file, for C++ libraries too, and yield the real one.

    TensorFlow, coremltools and LiteRT write to the file descriptor, not to `sys.stderr`. If
    POCKETKNN_DEBUG is set, nothing is redirected.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    if os.environ.get("POCKETKNN_DEBUG"):
        yield sys.stderr
        return
    original = os.dup(sys.stderr.fileno())
    with (
        tempfile.TemporaryFile() as sink,
        os.fdopen(original, "w", encoding=sys.stderr.encoding, errors="backslashreplace") as real,
    ):
        os.dup2(sink.fileno(), 2)
        _people.append(real)
        try:
            yield real
        finally:
            _people.pop()
            sys.stderr.flush()
            real.flush()
            os.dup2(original, 2)
