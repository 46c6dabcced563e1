"""Nothing leaves the machine, and only the cache and the requested files are written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

# In its own process, which the kernel kills at any system call that reaches a network.
# Only opening a socket, as a library does to detect IPv6, sends nothing.
GUARD = """
import ctypes, platform, struct
CALLS = {"x86_64": (42, 44, 46, 307), "aarch64": (203, 206, 211, 269)}  # connect, sendto, sendmsg…
calls = CALLS[platform.machine()]
step = lambda code, met, else_, value: struct.pack("HBBI", code, met, else_, value)
steps = [step(0x20, 0, 0, 0)]  # the number of the call
steps += [step(0x15, len(calls) - place, 0, call) for place, call in enumerate(calls)]
steps += [step(0x06, 0, 0, 0x7FFF0000), step(0x06, 0, 0, 0x80000000)]  # allow; end the process
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges, which the next one asks for
assert libc.prctl(22, 2, ctypes.byref(Program(len(steps), b"".join(steps))), 0, 0) == 0  # seccomp
"""
COMMANDS = """
import sys
from pocketknn.export.cli.app import main
for command in sys.argv[1:]:
    try:
        main(command.split())
    except SystemExit as end:
        assert end.code == 0, (command, end.code)
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")


def guarded(code, *arguments, cwd, **environment):
    """Run Python without network access, with its own home and temporary folder."""
    for name in ("home", "tmp"):
        (cwd / name).mkdir(exist_ok=True)
    own = {"HOME": str(cwd / "home"), "TMPDIR": str(cwd / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
    environment |= own | {name: os.environ[name] for name in kept if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", GUARD + code, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )


def below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_who_asks_the_network_is_ended(tmp_path):
    asks = "import socket\nsocket.socket().connect_ex(('127.0.0.1', 9))"
    assert guarded(asks, cwd=tmp_path).returncode == -signal.SIGSYS
    resolves = "import socket\nsocket.getaddrinfo('example.invalid', 80)"
    assert guarded(resolves, cwd=tmp_path).returncode == -signal.SIGSYS


def test_nothing_is_asked_for_and_nothing_is_written_elsewhere(photos, tmp_path):
    commands = (
        f"build {photos} -o out --backbone pixels --size 16",
        f"predict out/model.onnx {photos}/apple/0.png",
        f"verify out {photos}",
        f"eval out {photos}",
        "bench out",
    )
    done = guarded(COMMANDS, *commands, cwd=tmp_path, POCKETKNN_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert below(tmp_path / "home") == []
    assert below(tmp_path / "tmp") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "home", "out", "tmp"]


def test_the_switch_comes_before_every_import_of_onnxruntime():
    """Also in snippets that people copy; importing pocketknn sets it as well."""
    root = ROOT
    found = [
        path
        for folder in ("builder", "export", "tests", "docs", "benchmarks", "notebooks")
        for path in (root / folder).rglob("*")
        if path.suffix in (".py", ".md", ".ipynb", ".tmpl")
    ]
    users = 0
    for path in found:
        before, imported, _ = path.read_text("utf-8").partition("import onnxruntime")
        if imported and path != Path(__file__):
            users += 1
            assert "ORT_DISABLE_TELEMETRY" in before or "pocketknn" in before, path
    assert users > 2
