"""Atomic writes: a file or folder is made under another name, then moved into place when complete.

It is made in a hidden folder nearby, which stays locked while the process is alive. Leftovers of
killed processes are removed the next time the same path is written.
"""

from __future__ import annotations

import glob
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .swap import put, undisturbed

NEW, OLD, _SUFFIX, _LOCK = "new", "old", ".partial", "lock"
_TRIES, _WAIT = 5, 0.05  # to remove a folder, and seconds between
_MARK = b"held while pocketknn writes\n"
_HELD = PermissionError if sys.platform == "win32" else BlockingIOError  # by another process


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Yield a temporary path; it replaces `out` if the block succeeds, and is removed otherwise.

    A link is replaced, not its target.

    Args:
        out: the path of a file or a folder, which may exist already.

    Raises:
        OSError: it cannot be written; nothing has changed.
    """
    out = out.absolute()
    with workplace(out) as work:
        made = work / f"{NEW}{out.suffix}"
        yield made
        put(made, out, work / OLD)


@contextmanager
def workplace(out: Path) -> Iterator[Path]:
    """A private hidden folder near `out`, removed when the block ends.

    Raises:
        OSError: it cannot be created.
    """
    recover(out)
    work = existing(out) / f".{out.name}.{uuid.uuid4().hex[:8]}{_SUFFIX}"
    with ExitStack() as stack:
        stack.callback(_clear, work)
        work.mkdir()
        lock = stack.enter_context((work / _LOCK).open("wb"))
        _hold(lock)
        lock.write(_MARK)  # from now on others may remove the folder once the lock is free
        lock.flush()
        yield work


def recover(out: Path) -> None:
    """Remove leftovers of killed processes, and restore an `out` that one of them had moved."""
    out = out.absolute()
    for work in existing(out).glob(f".{glob.escape(out.name)}.*{_SUFFIX}"):
        with suppress(OSError):
            if not _is_ours(work, out):
                continue
            with (work / _LOCK).open("rb") as lock:
                if not _hold(lock):  # its process is alive
                    continue
                if (work / OLD).exists() and not out.exists():
                    (work / OLD).rename(out)
                _clear(work)
            _clear(work)  # also the lock, which Windows cannot delete while it is open


def existing(out: Path) -> Path:
    """The nearest folder above `out` that exists."""
    above = out.absolute().parent
    while not above.exists():
        above = above.parent
    return above


def _is_ours(work: Path, out: Path) -> bool:
    """Whether a folder is a workplace for `out`, by its name and the content of its lock."""
    middle = work.name.removeprefix(f".{out.name}.").removesuffix(_SUFFIX)
    lock = work / _LOCK
    if not re.fullmatch("[0-9a-f]{8}", middle) or work.is_symlink() or lock.is_symlink():
        return False
    return lock.is_file() and lock.stat().st_size == len(_MARK) and lock.read_bytes() == _MARK


def _clear(work: Path) -> None:
    """Remove a workplace completely, even if a signal arrives meanwhile."""
    with undisturbed():
        for _ in range(_TRIES):  # as a thread of ours may still write into it
            shutil.rmtree(work, ignore_errors=True)
            if not work.exists():
                return
            time.sleep(_WAIT)


def _hold(file: BinaryIO) -> bool:
    """Lock an open file until it is closed or the process ends, even if killed.

    Returns:
        False if another process holds the lock.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except _HELD:
        return False
    return True
