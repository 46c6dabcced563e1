"""Turn signals that end a process into `KeyboardInterrupt`, so that the main thread cleans up."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING

from pocketknn.builder.system.swap import ENDINGS

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# An exception during an import can leave a lock of all imports held, and a library in C that
# imports another may swallow it.
_IMPORTING = "<frozen importlib._bootstrap>"
_SOON = 0.01  # seconds


class Signals:
    """Turns Ctrl-C and signals such as SIGTERM into `KeyboardInterrupt`.

    Attributes:
        received: whether a signal has arrived.
    """

    def __init__(self) -> None:
        self.received = False
        self._others = sys.unraisablehook
        for ending in ENDINGS:
            signal.signal(ending, self._interrupt)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # background jobs ignore it
            signal.signal(signal.SIGINT, self._interrupt)
        sys.unraisablehook = self._swallowed

    def close(self) -> None:
        """Stop watching for swallowed interrupts."""
        sys.unraisablehook = self._others

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        if _is_importing(frame):
            _again()
        else:
            raise KeyboardInterrupt

    def _swallowed(self, lost: UnraisableHookArgs) -> None:
        """Interrupt again if Python ignored the exception, as it does in `__del__`."""
        if lost.exc_type is KeyboardInterrupt:
            _again()
        else:
            self._others(lost)


def end_at_once() -> None:
    """From now on, let signals end the process: nothing is left to clean up."""
    for ending in (signal.SIGINT, *ENDINGS):
        if signal.getsignal(ending) is not signal.SIG_IGN:
            signal.signal(ending, signal.SIG_DFL)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a frame was called, directly or not, by an import."""
    while frame is not None and frame.f_code.co_filename != _IMPORTING:
        frame = frame.f_back
    return frame is not None


def _again() -> None:
    """Send the main thread another signal soon."""
    timer = threading.Timer(_SOON, _send)
    timer.daemon = True
    timer.start()


def _send() -> None:
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGTERM)
    else:  # to the main thread, which may be waiting for a lock
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGTERM)
