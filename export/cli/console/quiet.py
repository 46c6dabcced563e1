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

_people: list[TextIO] = []  # what `quiet` gives while it lasts


def note(line: str) -> None:
    """Tell people, on stderr, what is no part of the answer, which programs may read."""
    print(shown(line), file=_people[-1] if _people else sys.stderr, flush=True)


def open_closed() -> None:
    """Where the caller closed stdin, stdout or stderr, read from and write to nowhere instead.

    Python has None in their place, and the next file that is opened would get their number, under
    which converters write.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open(mode, encoding="utf-8", newline="")  # noqa: SIM115  # until the process ends
            setattr(sys, name, nowhere)


@contextmanager
def quiet() -> Iterator[TextIO]:
    """Send all that is written to stderr to a file, C++ libraries included; give the real one.

    TensorFlow, coremltools and LiteRT write to the file descriptor, not to `sys.stderr`. With
    POCKETKNN_DEBUG set nothing is held back.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    if os.environ.get("POCKETKNN_DEBUG"):
        yield sys.stderr
        return
    kept = os.dup(sys.stderr.fileno())
    with (
        tempfile.TemporaryFile() as sink,
        os.fdopen(kept, "w", encoding=sys.stderr.encoding, errors="backslashreplace") as real,
    ):
        os.dup2(sink.fileno(), 2)
        _people.append(real)
        try:
            yield real
        finally:
            _people.pop()
            sys.stderr.flush()
            real.flush()
            os.dup2(kept, 2)
