"""Time whole processes, and start the command line in one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

# Linux counts a process's memory from before the start of its program, when it is a copy of its
# parent. So a small process starts it, whatever the size of the benchmark.
_STARTER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr)
_, status, usage = os.wait4(process.pid, 0)
wall = time.perf_counter() - start
process.returncode = os.waitstatus_to_exitcode(status)
processor, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss
print(json.dumps([process.returncode, wall, processor, peak]))
"""
# As the console script does, whichever version PYTHONPATH leads to.
_ENTRY = """
import sys
from importlib.metadata import entry_points
(command,) = entry_points(group="console_scripts", name="pocketknn")
sys.argv[0] = "pocketknn"
command.load()()
"""


# A virtual machine may lend memory that is free to others, and then takes seconds to get a gigabyte
# back, which would be a matter of chance.
_WARMER = "b'1' * (1 << 31)"


class Taken(NamedTuple):
    """What a process and the processes that it waited for took.

    Attributes:
        wall: seconds by the clock.
        processor: seconds of all cores.
        peak: megabytes, of the largest of these processes.
    """

    wall: float
    processor: float
    peak: float


def timed(words: Sequence[str | Path], folder: Path, **environment: str) -> Taken:
    """Run a process in a folder to its end, with additional environment variables.

    Raises:
        RuntimeError: it failed; with the end of its output.
    """
    subprocess.run([sys.executable, "-S", "-c", _WARMER], stderr=subprocess.DEVNULL, check=False)
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [sys.executable, "-S", "-c", _STARTER, *words],
            cwd=folder,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=output,
            check=True,
        )
        code, wall, processor, peak = json.loads(done.stdout)
        if code:
            output.seek(0)
            end = output.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{words} ended with {code}:\n{end}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
    return Taken(wall, processor, peak * unit / 1e6)


def pocketknn(*words: str | Path) -> list[str | Path]:
    """The command line as a process."""
    return [sys.executable, "-c", _ENTRY, *words]


def script(code: str, *words: str | Path) -> list[str | Path]:
    """Python code as a process."""
    return [sys.executable, "-c", code, *words]
