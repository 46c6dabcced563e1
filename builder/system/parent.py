"""Child processes that end with their parent: the pipe between them closes with the parent.

This works however the parent ends, and on every platform.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

_PATIENCE = 60  # seconds to clean up


def listen(pipe: BinaryIO, take: Callable[[BinaryIO], object], end: Callable[[], object]) -> None:
    """Read from a pipe in a thread, even during imports; end the process once the pipe closes.

    Args:
        pipe: the pipe from the other process.
        take: reads something and raises `EOFError` if there is nothing more.
        end: ends this process.
    """

    def forever() -> None:
        try:
            with suppress(EOFError):
                while True:
                    take(pipe)
        finally:
            end()

    threading.Thread(target=forever, daemon=True).start()


def end_with_it() -> None:
    """When stdin closes, end this process as a signal would, so that it cleans up."""
    listen(sys.stdin.buffer, _skip, _terminate)


def _skip(pipe: BinaryIO) -> None:
    # Not by `pipe.read`, which holds a lock that Python wants when it ends, and aborts without.
    if not os.read(pipe.fileno(), 1):
        raise EOFError


def _terminate() -> None:
    if sys.platform != "win32":  # to the main thread, which may be waiting for something
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGTERM)
        time.sleep(_PATIENCE)
    os._exit(1)
