"""Node packages used by tests, installed outside the repository."""

import json
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def installed(source: Path, folder: Path):
    """A copy of `source` in `folder` with its locked packages; skips if npm cannot fetch them."""
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not on this machine")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=300
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry does not answer")
    if done.returncode:
        # A lock file that does not match is our mistake, and no reason to skip.
        assert "EUSAGE" not in done.stderr, done.stderr
        errors = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        pytest.skip(f"npm ci failed: {' '.join(errors[:3])}")
    try:
        yield folder
    finally:
        shutil.rmtree(folder / "node_modules", ignore_errors=True)  # 150 MB


def run(folder: Path, *command):
    """Exit code, stdout and stderr of a Node script."""
    words = ["node", *map(str, command)]
    return subprocess.run(words, cwd=folder, capture_output=True, check=False, timeout=300)


@contextmanager
def together(folder: Path):
    """Runs Node scripts as `run` does, but in one process: onnxruntime-web is compiled once.

    A folder whose modules a script imports must not change: Node reads them once.
    """
    words = ["node", folder / "together.mjs"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, cwd=folder, encoding="utf-8", **pipes) as process:

        def script(place: Path, *command):
            given = {"folder": str(place), "words": [str(word) for word in command]}
            process.stdin.write(f"{json.dumps(given)}\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, f"node has ended with {process.wait()}"
            said = json.loads(answer)
            return subprocess.CompletedProcess(command, said["code"], said["out"], said["err"])

        try:
            yield script
        finally:
            process.kill()
