"""The other process of `apart`: it opens files, runs them on inputs, and calls functions."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pocketknn.builder.system import parent
from pocketknn.export.formats.protocol import Outputs

from . import running

_numbers = count()
_models: dict[int, tuple[tuple[int, ...], running.Answer]] = {}  # at most one, after what it is of


def serve(folder: str) -> None:
    """Read questions from stdin and answer on stdout, until the other process closes them.

    Args:
        folder: for temporary files; this process removes it at the end unless the parent does.
    """

    def leave() -> None:  # TensorFlow would take its time to clean up
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)

    tempfile.tempdir = folder
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other process
        answers = os.fdopen(os.dup(1), "wb")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries may print
        questions: SimpleQueue[Any] = SimpleQueue()
        # Pickled twice, so that the thread that listens imports nothing.
        parent.listen(sys.stdin.buffer, lambda pipe: questions.put(pickle.load(pipe)), leave)
        with running.imported():
            while True:
                pickle.dump(_answer(*pickle.loads(questions.get())), answers)
                answers.flush()
    finally:
        leave()


def _answer(what: str, *given: Any) -> Any:  # noqa: ANN401
    """The answer to a question from `apart`; None if it fails, and `apart` then tries it itself."""
    try:
        return _WORK[what](*given)
    except Exception:  # Keras may raise anything
        return None


def _open(path: Path) -> tuple[int, float]:
    """Open a file in place of the last one; returns its number, and how many seconds that took.

    A file stays open if its folder was only renamed.
    """
    found = path.stat()
    of = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    for number, (same, answer) in _models.items():
        if same == of:
            return number, answer.seconds()
    number = next(_numbers)
    _models.clear()  # first, as there may be no room for both
    answer = running.opened(path)
    _models[number] = of, answer
    return number, answer.seconds()


def _run(number: int, feeds: Any) -> Outputs:  # noqa: ANN401  # as in `running`
    return _models[number][1](feeds)


def _call(function: Callable[..., Any], *given: Any) -> Any:  # noqa: ANN401
    return function(*given)


_WORK: dict[str, Callable[..., Any]] = {"open": _open, "run": _run, "call": _call}
