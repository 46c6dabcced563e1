"""pocketknn bench: the files of a build against each other, on this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from pocketknn.builder.errors import InputError
from pocketknn.export.analysis.latency import Timing, time_files
from pocketknn.export.cli.console.quiet import say
from pocketknn.export.cli.console.tables import megabytes
from pocketknn.export.cli.console.terminal import console, say_json
from pocketknn.export.formats.files import paths_of, runnable
from pocketknn.export.manifest.metadata import manifest_of


def bench_build(out: Path, runs: int, as_json: bool) -> None:
    """Time every file of a build, a picture at a time, interleaved; print a table or JSON.

    Raises:
        InputError: `out` is no build, or `runs` is below 1.
    """
    if runs < 1:
        raise InputError(f"the number of runs must be at least 1, not {runs}")
    manifest = manifest_of(out)
    rows = time_files(runnable(paths_of(out), say), manifest, runs)
    if as_json:
        say_json([asdict(row) for row in rows])
        return
    console.print(_table(rows))
    console.print(
        f"milliseconds of {runs} runs each, in turns, a picture at a time, decoded before;"
    )
    console.print("label: same as the exact vote's, on the inputs of the build's parity")
    if sys.platform != "darwin" and any(row.name.endswith(".mlpackage") for row in rows):
        console.print("model.mlpackage ran in our evaluator, whose time says nothing of a phone")


def _table(rows: Sequence[Timing]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("artefact", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    for heading in ("size", "threads", "load", "median", "p95", "label"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.name,
            row.precision,
            megabytes(row.bytes),
            "" if row.threads is None else str(row.threads),
            f"{row.load_ms:.0f}",
            *(f"{time:.3g}" for time in (row.median_ms, row.p95_ms)),
            f"{row.labels_equal:.1%}",
        )
    return table
