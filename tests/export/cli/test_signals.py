"""A signal to end always arrives, even where Python would swallow it or may not be stopped."""

import subprocess
import sys

import pytest

START = """
import os, signal, sys, threading, time
from importlib.util import spec_from_loader
from pocketknn.export.cli.console.signals import Signals, end_at_once
signals = Signals()
"""
# How a signal can be lost; afterwards the main thread waits as for a pool of threads.
LOST = {
    "while an import holds its lock": """
exec(compile("os.kill(os.getpid(), signal.SIGTERM); time.sleep(0)",
             "<frozen importlib._bootstrap>", "exec"))
""",
    "in an import whose errors a library ignores": """
class Wanted:
    find_spec = staticmethod(lambda name, *_: spec_from_loader(name, Wanted))
    create_module = staticmethod(lambda spec: None)
    def exec_module(module):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
sys.meta_path.append(Wanted)
try:
    import wanted
except BaseException:
    pass
""",
    "in a destructor": """
class Thing:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
Thing()
""",
}
WAIT = """
try:
    {}
    threading.Event().wait(60)
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted", signals.received)
"""


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False
    )


@pytest.mark.parametrize("how", LOST)
def test_one_that_was_lost_comes_again(how):
    done = run(START + WAIT.format(f"exec({LOST[how]!r}, globals())"))
    assert (done.stdout, done.stderr) == ("interrupted True\n", "")


def test_one_that_arrives_in_the_handler_of_another_leaves_no_lock_held():
    """The first one interrupts an import, so the second one would, too."""
    held = """
start, lock = threading.Timer.start, threading.Lock()
def slow(self):
    threading.Timer.start = start
    start(self)
    time.sleep(0.2)
threading.Timer.start = slow
exec(compile("lock.acquire(); os.kill(os.getpid(), signal.SIGTERM); time.sleep(0); lock.release()",
             "<frozen importlib._bootstrap>", "exec"))
"""
    wait = WAIT.format(f"exec({held!r}, globals())")
    done = run(f"{START}{wait}\nprint(lock.locked())")
    assert (done.stdout, done.stderr) == ("interrupted True\nFalse\n", "")


def test_others_errors_in_destructors_are_shown():
    done = run(START + "class Thing:\n    def __del__(self):\n        1 / 0\nThing()\n")
    assert "ZeroDivisionError" in done.stderr


def test_after_the_command_a_signal_ends_the_process_silently():
    done = run(START + "end_at_once()\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)")
    assert (done.returncode, done.stdout, done.stderr) == (-15, "", "")
