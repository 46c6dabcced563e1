"""Check in the package index that all dependencies exist for each system and Python.

    python -m pip install uv
    python tests/resolve.py

uv resolves for other systems too, markers included. Prints a table; exit code 1 if a system
that should work does not, or the other way round.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = {  # by uv's name: in words, and whether the full and the light installation work there
    "x86_64-manylinux_2_28": ("Linux on x86", True, True),
    "aarch64-manylinux_2_28": ("Linux on Arm", True, True),
    "x86_64-pc-windows-msvc": ("Windows on x86", True, True),
    "aarch64-apple-darwin": ("macOS, Apple's processors", True, True),
    "x86_64-apple-darwin": ("macOS, Intel's processors", False, False),
    "aarch64-pc-windows-msvc": ("Windows on Arm", False, False),
}


def packages(wanted: str, system: str, python: str) -> list[str] | None:
    """The packages that would be installed, wheels only; None if one is not available."""
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    command += ["--only-binary", ":all:", "--python-platform", system, "--python-version", python]
    done = subprocess.run(
        [*command, "--python", sys.executable, wanted],
        cwd=ROOT,
        env=os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        if "No solution found" not in done.stderr:
            sys.exit(done.stderr)
        return None
    return done.stdout.split()


def main() -> None:
    """Print the table."""
    if not shutil.which("uv"):
        sys.exit("there is no uv; python -m pip install uv")
    wrong = 0
    print(f"{'':28}{'Python':8}{'everything':14}{'light':10}Core ML")
    for system, (words, *expected) in SYSTEMS.items():
        for python in PYTHONS:
            found = [packages(wanted, system, python) for wanted in ("pyproject.toml", "light.txt")]
            counts = ["no" if one is None else str(len(one)) for one in found]
            core_ml = any(one.startswith("coremltools==") for one in found[0] or [])
            wrong += [one is not None for one in found] != expected
            print(f"{words:28}{python:8}{counts[0]:14}{counts[1]:10}{'yes' if core_ml else 'no'}")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
