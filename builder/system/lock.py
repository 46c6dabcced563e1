"""A file that one process holds at a time, on every system."""

from __future__ import annotations

import sys
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt

    def hold(file: BinaryIO) -> bool:
        """Hold an open file until it is closed or the process ends, however it ends.

        Returns:
            False where another process holds it.
        """
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def hold(file: BinaryIO) -> bool:
        """Hold an open file until it is closed or the process ends, however it ends.

        Returns:
            False where another process holds it.
        """
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
