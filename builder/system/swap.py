"""Replace a file or folder with another so that one of the two exists at any time."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SWAP = 2  # RENAME_EXCHANGE of Linux' renameat2, RENAME_SWAP of macOS' renamex_np
_HERE = -100  # AT_FDCWD: relative to the current folder
# Signals that end a process; each system has some of them.
ENDINGS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)


def put(made: Path, out: Path, aside: Path) -> None:
    """Move a file or a folder to its place.

    Args:
        made: the file or folder, on the same file system as `out`.
        out: its place. An existing folder is moved to `made` or `aside`; a file is deleted.
        aside: a free name, for systems that cannot swap two folders atomically. If the process is
            killed halfway, the old folder keeps this name.

    Raises:
        OSError: it cannot be moved; nothing has changed.
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
    """Swap the names of two folders atomically; False if the system cannot."""
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
    """Delay Ctrl-C and termination signals until the block has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread
        return
    # A signal mask is not enough: it blocks one thread, and another gets the signal.
    received: list[int] = []
    before = {
        one: signal.signal(one, lambda number, _: received.append(number))
        for one in (signal.SIGINT, *ENDINGS)
    }
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, signal.SIG_DFL if handler is None else handler)
        for number in received:
            signal.raise_signal(number)
