"""Linear algebra in one thread, as rounding depends on the number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from .container import cores

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

T = TypeVar("T")
R = TypeVar("R")

_turn = Lock()
_inside = 0  # how many blocks are running, in all threads
_limits = ExitStack()  # the limits that end with the last of them
_limited: list[ThreadpoolController] = []


@contextmanager
def one_thread(*, with_scipy: bool = True) -> Iterator[None]:
    """Limit linear algebra to one thread, until the last block of all threads ends.

    A library keeps one limit for the whole process, so blocks that overlap share it.

    Args:
        with_scipy: limit scipy's BLAS as well as numpy's. It is imported for that.
    """
    global _inside
    with _turn:
        libraries = _libraries(with_scipy)
        if libraries not in _limited:
            _take_control()
            limit = libraries.limit(limits=1, user_api="blas")
            _limits.callback(limit.restore_original_limits)
            _limited.append(libraries)
        _inside += 1
    try:
        yield
    finally:
        with _turn:
            _inside -= 1
            if not _inside:
                _take_control()
                _limits.close()
                _limited.clear()


def in_order(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """The function of each item, on all cores, but with linear algebra in one thread each.

    So rounding depends neither on the cores nor on which of them is faster. Items are taken as fast
    as they come, before they are needed. At most eight cores are used, as each needs memory.
    """
    if isinstance(items, Sequence) and len(items) < 2:
        yield from map(function, items)
        return
    with one_thread(), ThreadPoolExecutor(min(cores(), 8)) as workers:
        yield from workers.map(function, items)


def _take_control() -> None:
    """Make limits of this thread count: some versions only heed the first thread that sets one."""
    import threadpoolctl

    openblas = getattr(threadpoolctl, "OpenBLASController", None)
    clear = getattr(openblas, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


@cache
def _libraries(with_scipy: bool) -> ThreadpoolController:
    """The libraries that are loaded; looking for them takes some milliseconds."""
    if with_scipy:
        import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
