"""What the process of `apart` does: it opens files, and answers for them."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pocketknn.builder.system import parent
from pocketknn.export.formats.protocol import Outputs

from . import running

# Imported by Keras if they are there, for functions that no model of ours uses.
_UNUSED = ("IPython", "cv2", "matplotlib", "pandas", "sklearn")
_models: dict[int, running.Answer] = {}  # at most one
_numbers = count()


def serve() -> None:
    """Read questions from stdin and answer on stdout, until the other process closes them."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other process
        answers = os.fdopen(os.dup(1), "wb")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries may print
        questions: SimpleQueue[Any] = SimpleQueue()
        parent.listen(
            sys.stdin.buffer, lambda pipe: questions.put(pickle.load(pipe)), lambda: os._exit(0)
        )
        sys.modules.update(dict.fromkeys(_UNUSED))  # type: ignore[arg-type]  # None hides it
        import keras  # noqa: F401

        while True:
            pickle.dump(_answer(*questions.get()), answers)
            answers.flush()
    finally:
        os._exit(0)  # TensorFlow takes its time to clean up


def _answer(what: str, *given: Any) -> int | Outputs | None:  # noqa: ANN401
    """The answer to a question of `apart`; None if it fails: `apart` then tries it itself."""
    try:
        return _open(*given) if what == "open" else _models[given[0]](given[1])
    except Exception:  # Keras may raise anything
        return None


def _open(path: Path) -> int:
    """Open a file instead of the last one; returns its number."""
    number = next(_numbers)
    _models.clear()  # first, as there may be no room for both
    _models[number] = running.opened(path)
    return number
