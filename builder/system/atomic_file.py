"""A file or a folder is made under another name and takes its place when it is whole.

It is made in a hidden folder near its place, which a process holds while it is alive. What killed
processes left there goes when the same place is written the next time.
"""

from __future__ import annotations

import glob
import re
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .swap import put, undisturbed

NEW, OLD, _SUFFIX, _LOCK = "new", "old", ".partial", "lock"
_MARK = b"held while pocketknn writes\n"
_HELD = PermissionError if sys.platform == "win32" else BlockingIOError  # by another process


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A free name for what becomes `out` when the block ends well, and else is removed.

    A link is replaced, not what it leads to.

    Args:
        out: the place of a file or a folder, which may be there already.

    Raises:
        OSError: it cannot be written; all is as it was.
    """
    out = out.absolute()
    with workplace(out) as work:
        made = work / f"{NEW}{out.suffix}"
        yield made
        put(made, out, work / OLD)


@contextmanager
def workplace(out: Path) -> Iterator[Path]:
    """A hidden folder near `out`, of this process alone, that goes when the block ends.

    Raises:
        OSError: there can be none.
    """
    recover(out)
    work = existing(out) / f".{out.name}.{uuid.uuid4().hex[:8]}{_SUFFIX}"
    with ExitStack() as stack:
        stack.callback(_clear, work)
        work.mkdir()
        lock = stack.enter_context((work / _LOCK).open("wb"))
        _hold(lock)
        lock.write(_MARK)  # from now on others may sweep the folder, once nobody holds it
        lock.flush()
        yield work


def recover(out: Path) -> None:
    """Remove what killed processes left, and give back what one of them had set aside."""
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
            _clear(work)  # the lock too, which Windows keeps while it is open


def existing(out: Path) -> Path:
    """The nearest folder above `out` that exists."""
    above = out.absolute().parent
    while not above.exists():
        above = above.parent
    return above


def _is_ours(work: Path, out: Path) -> bool:
    """Whether a folder is a workplace for `out`: by its name, and by what its lock says."""
    middle = work.name.removeprefix(f".{out.name}.").removesuffix(_SUFFIX)
    lock = work / _LOCK
    if not re.fullmatch("[0-9a-f]{8}", middle) or work.is_symlink() or lock.is_symlink():
        return False
    return lock.is_file() and lock.stat().st_size == len(_MARK) and lock.read_bytes() == _MARK


def _clear(work: Path) -> None:
    """Remove a workplace, all of it, whoever asks to end meanwhile."""
    with undisturbed():
        shutil.rmtree(work, ignore_errors=True)


def _hold(file: BinaryIO) -> bool:
    """Hold an open file until it is closed or the process ends, however it ends.

    Returns:
        False where another process holds it.
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
