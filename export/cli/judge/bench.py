"""pocketknn bench: the files of a build against each other, on this machine."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from pocketknn.builder.errors import InputError
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say, say_json
from pocketknn.export.cli.options import Build, Json
from pocketknn.export.report.wording import megabytes

_MOST_RUNS = 10_000  # of each file and number of threads: minutes


def bench(
    out: Build,
    runs: Annotated[int, typer.Option(help="Pictures per file and number of threads.")] = 50,
    as_json: Json = False,
) -> None:
    """Time the files of a build against each other: size, load time, latency, parity."""
    from pocketknn.export.analysis.latency import time_files
    from pocketknn.export.cli.console import tables
    from pocketknn.export.cli.console.terminal import console
    from pocketknn.export.formats.files import paths_of, runnable
    from pocketknn.export.manifest.metadata import manifest_of

    if not 1 <= runs <= _MOST_RUNS:
        raise InputError(f"the number of runs must be 1 to {_MOST_RUNS:,}, not {runs:,}")
    manifest = manifest_of(out)
    rows = time_files(runnable(paths_of(out), note), manifest, runs)
    if as_json:
        say_json([asdict(row) for row in rows])
        return
    headings = ("size", "threads", "load", "median", "p95", "label")
    table = tables.table(["artefact", "weights"], headings)
    for row in rows:
        share = f"{row.labels_equal:.1%}"
        table.add_row(row.name, row.precision, megabytes(row.bytes), *row.shown, share)
    console.print(table)
    say(
        f"milliseconds of {runs} runs each, in turns, a picture at a time, decoded before;",
        "label: same as the exact vote's, on the inputs of the build's parity",
    )
    if sys.platform != "darwin" and any(row.name.endswith(".mlpackage") for row in rows):
        say("model.mlpackage ran in our evaluator, whose time says nothing of a phone")
