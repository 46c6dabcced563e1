"""pocketknn bench: compare the files of a build on this machine."""

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

_MAX_RUNS = 10_000  # per file and number of threads: takes minutes


def bench(
    out: Build,
    runs: Annotated[
        int, typer.Option(help="Number of pictures to time for each file and thread count.")
    ] = 50,
    as_json: Json = False,
) -> None:
    """Compare the files of a build: size, load time, latency, parity.

    Examples:
        pocketknn bench out
        pocketknn bench out --runs 200 --json
    """
    from pocketknn.export.analysis.latency import time_files
    from pocketknn.export.cli.console import tables
    from pocketknn.export.cli.console.terminal import console
    from pocketknn.export.formats.files import paths_of, runnable
    from pocketknn.export.manifest.metadata import manifest_of

    if not 1 <= runs <= _MAX_RUNS:
        raise InputError(
            f"the number of runs must be 1 to {_MAX_RUNS:,}, not {runs:,}", "runs-out-of-range"
        )
    manifest = manifest_of(out)
    rows = time_files(runnable(paths_of(out), note), manifest, runs)
    if as_json:
        say_json([asdict(row) for row in rows])
        return
    headings = ("size", "threads", "load", "median", "p95", "label")
    table = tables.table(["model file", "weights"], headings)
    for row in rows:
        share = f"{row.labels_equal:.1%}"
        table.add_row(row.name, row.precision, megabytes(row.bytes), *row.shown, share)
    console.print(table)
    say(
        f"times: milliseconds per picture over {runs} runs, the files taking turns, without"
        " decoding;",
        "label: same label as the exact vote, on the inputs of the parity check",
    )
    if sys.platform != "darwin" and any(row.name.endswith(".mlpackage") for row in rows):
        say("model.mlpackage ran in our evaluator; its time does not predict a phone's")
