"""pocketknn bench: the files of a build against each other, on this machine."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from pocketknn.builder.errors import InputError
from pocketknn.export.artefact import FORMATS, format_of, paths_of
from pocketknn.export.metadata import manifest_of
from pocketknn.export.report import console, megabytes
from pocketknn.export.seal import size

_WARM_UP = 3


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One file with some threads.

    Attributes:
        name: of the file.
        bytes: its size.
        precision: of its backbone.
        threads: how many the runtime may use; None where it decides itself.
        load_ms: time to open it.
        median_ms: of one picture.
        p95_ms: what 95 % of the pictures stay below.
        first_equal: share of queries with the exact nearest reference, from the build's parity.
        labels_equal: share of queries with the label of the exact vote, from there too.
    """

    name: str
    bytes: int
    precision: str
    threads: int | None
    load_ms: float
    median_ms: float
    p95_ms: float
    first_equal: float
    labels_equal: float


def bench_build(out: Path, runs: int, as_json: bool) -> None:
    """Time every file of a build, a picture at a time, interleaved; print a table or JSON.

    Raises:
        InputError: `out` is no build, or `runs` is below 1.
    """
    if runs < 1:
        raise InputError(f"the number of runs must be at least 1, not {runs}")
    manifest = manifest_of(out)
    rng = np.random.default_rng(manifest["seed"])
    shape = manifest["input"]["shape"]
    pictures = manifest["input"]["name"] == "image"
    query = rng.integers(0, 256, shape, np.uint8) if pictures else rng.standard_normal(shape)
    opened = [
        _opened(path, threads)
        for path in paths_of(out)
        for threads in ((1, 2) if FORMATS[format_of(path)].THREADS else (None,))
    ]
    for one in opened:
        for _ in range(_WARM_UP):
            one.run(query[None])
    times: list[list[float]] = [[] for _ in opened]
    # In turns, so that what else the machine does meets all of them.
    for _ in range(runs):
        for one, taken in zip(opened, times, strict=True):
            start = time.perf_counter()
            one.run(query[None])
            taken.append(1000 * (time.perf_counter() - start))
    rows = [_timing(one, taken, manifest) for one, taken in zip(opened, times, strict=True)]
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    console.print(_table(rows))
    console.print(
        f"milliseconds of {runs} runs each, in turns, a picture at a time, decoded before;"
    )
    console.print("label: same as the exact vote's, on the inputs of the build's parity")
    if sys.platform != "darwin" and any(row.name.endswith(".mlpackage") for row in rows):
        console.print("model.mlpackage ran in our evaluator, whose time says nothing of a phone")


@dataclass(frozen=True)
class _Opened:
    path: Path
    threads: int | None
    load_ms: float
    run: Callable[[Any], Any]


def _opened(path: Path, threads: int | None) -> _Opened:
    start = time.perf_counter()
    run = FORMATS[format_of(path)].load(path, threads)
    return _Opened(path, threads, 1000 * (time.perf_counter() - start), run)


def _timing(one: _Opened, taken: Sequence[float], manifest: dict[str, Any]) -> Timing:
    name = format_of(one.path)
    parity = manifest["parity"][name]
    return Timing(
        name=one.path.name,
        bytes=size(one.path),
        precision=manifest["precision"][name],
        threads=one.threads,
        load_ms=one.load_ms,
        median_ms=float(np.median(taken)),
        p95_ms=float(np.percentile(taken, 95)),
        first_equal=parity["first_equal"],
        labels_equal=parity["labels_equal"],
    )


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
