"""The last step of `make bench`: one table of the ratios that its parts measured.

    python benchmarks/summary.py FILE

Each part is given `--summary FILE` and adds its ratios to it, then the minutes that it took.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_START = time.monotonic()  # parts import this module at their start
_MINUTES = "minutes"


class Ratio(NamedTuple):
    """A line of the table: what was measured, relative to what, and how many times as much."""

    what: str
    to: str
    ratio: float


def option(parser: argparse.ArgumentParser) -> None:
    """Let a part take the file."""
    parser.add_argument("--summary", type=Path, help="add the ratios to this file")


def add(file: Path | None, ratios: Iterable[Ratio]) -> None:
    """Add a part's ratios to the file, and how long the part has run; without a file do nothing."""
    if file is None:
        return
    took = Ratio(Path(sys.argv[0]).name, _MINUTES, (time.monotonic() - _START) / 60)
    with file.open("a", encoding="utf-8") as lines:
        for one in (*ratios, took):
            lines.write(f"{one.what}|{one.to}|{one.ratio:.6g}\n")


def read(file: Path) -> list[Ratio]:
    """All lines of the file."""
    found = []
    for line in file.read_text("utf-8").splitlines():
        what, to, ratio = line.split("|")
        found.append(Ratio(what, to, float(ratio)))
    return found


def table(lines: Iterable[Ratio]) -> list[str]:
    """Markdown: the ratios, then how long each part took."""
    rows, minutes = ["| what | relative to | ratio |", "|---|---|---|"], []
    for one in lines:
        if one.to == _MINUTES:
            minutes.append(f"{one.what} {one.ratio:.1f}")
        else:
            rows.append(f"| {one.what} | {one.to} | {one.ratio:.2f} |")
    return [*rows, "", f"Minutes: {', '.join(minutes)}."]


if __name__ == "__main__":
    print("\n".join(table(read(Path(sys.argv[1])))))
