"""Node packages used by tests, installed outside the repository."""

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
