"""A file or a folder takes the place of another, and at no moment is neither there."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SWAP = 2  # RENAME_EXCHANGE of Linux' renameat2, RENAME_SWAP of macOS' renamex_np
_HERE = -100  # AT_FDCWD: paths are as they are
# The request to end a process, and that its terminal is gone; each system has some of them.
ENDINGS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)


def put(made: Path, out: Path, aside: Path) -> None:
    """Move what was made to its place.

    Args:
        made: a file or a folder, on the same file system as `out`.
        out: its place. A folder that is there goes to `made` or `aside`, a file goes for good.
        aside: a name that is free, for systems that cannot swap two folders at once. A process
            that is killed there leaves the old folder under this name.

    Raises:
        OSError: it cannot be moved; all is as it was.
    """
    if not out.is_dir():
        made.replace(out)
    elif not swapped(made, out):
        with undisturbed():
            out.rename(aside)
            try:
                made.rename(out)
            except BaseException:
                aside.rename(out)
                raise


def swapped(one: Path, other: Path) -> bool:
    """Give each of two folders the name of the other, at once; False where the system cannot."""
    if sys.platform == "win32":
        return False
    import ctypes

    libc = ctypes.CDLL(None)
    names = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        return bool(libc.renamex_np(*names, _SWAP) == 0)
    if hasattr(libc, "renameat2"):
        return bool(libc.renameat2(_HERE, names[0], _HERE, names[1], _SWAP) == 0)
    return False


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C and the request to end wait until the block has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread
        return
    # A mask would not do: where it holds one thread off, another is given the signal.
    came: list[int] = []
    before = {
        one: signal.signal(one, lambda number, _: came.append(number))
        for one in (signal.SIGINT, *ENDINGS)
    }
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, signal.SIG_DFL if handler is None else handler)
        for number in came:
            signal.raise_signal(number)
