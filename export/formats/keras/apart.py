"""Run Keras in another process, so that its import, which takes seconds, does not delay this one.

If that process cannot do something, this one does it, so that errors are the same either way.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pocketknn.builder.system.cache import Cache
from pocketknn.export.formats.requirements import is_there

from . import running

if TYPE_CHECKING:
    from pocketknn.export.formats.protocol import Outputs

T = TypeVar("T")

# It finds modules where this process does. `multiprocessing` would run a user's script again.
_CODE = "import sys; sys.path[:] = {}; from {}.child import serve; serve({!r})"


class Child:
    """The other process. It ends when its pipe is closed, at the latest when this process ends.

    Starting it does not wait for its imports; the first question does.
    """

    def __init__(self) -> None:
        """Start it."""
        self._turn = threading.Lock()
        self._waiting: deque[Future[Any]] = deque()  # questions without answer, the oldest first
        # What TensorFlow writes there and removes when it ends, which it has no time for.
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        code = _CODE.format(sys.path, __package__, self._folder.name)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # TensorFlow writes to it
        )

    def ask(self, *question: Any) -> Any:  # noqa: ANN401
        """The process's answer; None if it gives none, in which case the process is ended."""
        return self.begin(*question)()

    def begin(self, *question: Any) -> Callable[[], Any]:  # noqa: ANN401
        """As `ask`, but returns a function that waits for the answer."""
        future: Future[Any] = Future()
        asked = self._process.stdin
        assert asked
        with self._turn:
            self._waiting.append(future)
            try:
                pickle.dump(pickle.dumps(question), asked)
                asked.flush()
            except (OSError, ValueError):  # it has ended, so there is no answer either
                pass
            except BaseException:  # it would take the next question for the rest of this one
                self.end()
                raise
        return partial(self._answer_to, future)

    def _answer_to(self, future: Future[Any]) -> Any:  # noqa: ANN401
        answers = self._process.stdout
        assert answers
        while not future.done():
            with self._turn:
                if future.done():  # by another thread
                    break
                answer = None
                try:
                    answer = pickle.load(answers)
                except (OSError, EOFError, ValueError, pickle.UnpicklingError):  # it has ended
                    pass
                finally:
                    if answer is None:  # interrupted, too: its answer would be that to another
                        self.end()
                    self._waiting.popleft().set_result(answer)
        return future.result()

    def end(self) -> None:
        """End it at once; harmless if it has ended."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was not sent yet
                pipe.close()  # type: ignore[union-attr]
        self._folder.cleanup()


_running: list[Child] = []


@contextmanager
def beside(wanted: bool = True) -> Iterator[None]:
    """Inside the block, open files in another process, unless Keras is imported in this one.

    Args:
        wanted: False starts no other process.
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


def is_worth_it(formats: Sequence[str] | None, cache: Cache | None, packaged: bool) -> bool:
    """Whether a build will probably run Keras without importing it in this process.

    Args:
        formats: what it writes; None for all.
        cache: where it finds what it converted earlier.
        packaged: whether its backbone can be loaded by name in the other process.
    """
    if not is_installed() or (formats is not None and "keras" not in formats):
        return False
    kept = cache.items("templates") if cache else ()
    return packaged or any(path.name.startswith("keras-") for path in kept)


def is_installed() -> bool:
    """Whether Keras is installed, with TensorFlow."""
    return is_there("tensorflow") and is_there("keras")


def end() -> None:
    """End the other process, as Keras is about to be imported here; harmless if there is none.

    Raises:
        _NotBesideError: the caller's work needs that process, see `meanwhile`.
    """
    while (child := _current()) is not None:
        child.end()
        with suppress(ValueError):  # another thread has removed it
            _running.remove(child)
    if getattr(_local, "beside", False):
        raise _NotBesideError


def called(function: Callable[..., T], *given: Any) -> T | None:  # noqa: ANN401
    """What a function returns in the other process; None if there is none, or it raises there.

    Args:
        function: a function of a module, so that the other process can import it.
        given: its arguments.
    """
    if _is_here():
        end()
    child = _current()
    found: T | None = None if child is None else child.ask("call", function, *given)
    return found


def opened(path: Path) -> running.Answer:
    """As `running.opened`, in the other process if there is one.

    With another process, this call does not wait until the file is open. If Keras refuses the file,
    the error is therefore raised by the first answer.
    """
    here = cache(lambda: running.opened(path))
    if _is_here():
        end()
    child = _current()
    if child is None:
        return here()
    found = child.begin("open", path)

    def answer(feeds: Any) -> Outputs:  # noqa: ANN401  # as for the other
        if (known := found()) is not None:
            outputs: Outputs | None = child.ask("run", known[0], feeds)
            if outputs is not None:
                return outputs
        end()
        return here()(feeds)

    def seconds() -> float:
        return here().seconds() if (known := found()) is None else known[1]

    return running.Answer(answer, seconds)


@contextmanager
def meanwhile(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Do some work that mostly waits for the other process while the block runs.

    Args:
        work: does the work; it may be interrupted and run again if the other process ends.

    Yields:
        A function that returns the result; without the other process, the work is done only then.
    """
    if not _running:
        yield work
        return
    future: Future[T] = Future()

    def begin() -> None:
        _local.beside = True
        try:
            future.set_result(work())
        except BaseException as error:  # the caller decides
            future.set_exception(error)

    def result() -> T:
        try:
            return future.result()
        except _NotBesideError:
            return work()

    thread = threading.Thread(target=begin, daemon=True)
    thread.start()
    try:
        yield result
    except BaseException:
        end()  # it must not write any longer
        thread.join()
        raise
    thread.join()


class _NotBesideError(BaseException):
    """The other process has ended, so Keras is needed here; `except Exception` must not hide it."""


def _current() -> Child | None:
    """The other process, which another thread may end at any moment; None if there is none."""
    try:
        return _running[-1]
    except IndexError:
        return None


_local = threading.local()


def _is_here() -> bool:
    return sys.modules.get("keras") is not None
