"""Keras in another process, so that its import, which takes seconds, does not delay this one.

What that process cannot do, this one does itself, so that errors are the same without it.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from pocketknn.builder.system.cache import Cache
from pocketknn.export.formats.protocol import Outputs

from . import running

# It finds modules where this process does. `multiprocessing` would run a user's script again.
_CODE = "import sys; sys.path[:] = {}; from {}.child import serve; serve()"


class Child:
    """The other process. It ends when its pipe is closed, and so with this process at the latest.

    Nothing waits for its imports before the first question.
    """

    def __init__(self) -> None:
        """Start it."""
        self._turn = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE.format(sys.path, __package__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # TensorFlow writes to it
        )

    def ask(self, *question: Any) -> Any:  # noqa: ANN401
        """The process's answer; None if there is none, in which case the process is ended."""
        asked, answers = self._process.stdin, self._process.stdout
        assert asked
        assert answers
        answer = None
        with self._turn:
            try:
                pickle.dump(question, asked)
                asked.flush()
                answer = pickle.load(answers)
            except (OSError, EOFError, ValueError, pickle.UnpicklingError):  # it has ended
                pass
            finally:
                if answer is None:  # interrupted, too: its answer would be that to the next one
                    self.end()
        return answer

    def end(self) -> None:
        """End it at once; harmless if it has ended."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was not sent yet
                pipe.close()  # type: ignore[union-attr]


_running: list[Child] = []


@contextmanager
def beside(wanted: bool = True) -> Iterator[None]:
    """Inside the block, open files in another process, unless Keras is imported in this one.

    Args:
        wanted: False changes nothing.
    """
    started = []
    if wanted and not _running and not _is_here():
        with suppress(OSError):  # then without it
            started.append(Child())
    _running.extend(started)
    try:
        yield
    finally:
        if started:
            end()


def is_worth_it(formats: Sequence[str] | None, cache: Cache | None) -> bool:
    """Whether a build likely runs Keras without importing it here, as it converts nothing.

    Args:
        formats: what it writes; None for all.
        cache: where it finds what it converted earlier.
    """
    if cache is None or (formats is not None and "keras" not in formats):
        return False
    return any(path.name.startswith("keras-") for path in cache.items("templates"))


def end() -> None:
    """End the other process, as Keras is about to be imported here; harmless if there is none."""
    while _running:
        _running.pop().end()


def opened(path: Path) -> running.Answer:
    """As `running.opened`, in the other process if there is one."""
    here = cache(lambda: running.opened(path))
    if _is_here():
        end()
    child = _running[-1] if _running else None
    number = child.ask("open", path) if child else None
    if child is None or number is None:
        end()
        return here()

    def answer(feeds: Any) -> Outputs:  # noqa: ANN401  # as for the other
        found: Outputs | None = child.ask("run", number, feeds)
        return here()(feeds) if found is None else found

    return answer


def _is_here() -> bool:
    return sys.modules.get("keras") is not None
