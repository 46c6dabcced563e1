"""How fast the files of a build are on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pocketknn.export.formats.files import format_of, runnable
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.metadata import manifest_of
from pocketknn.export.output.checksums import size
from pocketknn.export.output.names import MODEL

_WARM_UP, _RUNS = 1, 5


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The times of one file with a number of threads.

    Attributes:
        name: name of the file.
        bytes: its size.
        precision: precision of its backbone.
        threads: how many the runtime may use; None if it decides itself.
        load_ms: time to open it.
        median_ms: median time per picture.
        p95_ms: 95th percentile of the time per picture.
        first_equal: share of queries with the exact nearest reference, from the build's parity.
        labels_equal: share of queries with the label of the exact vote, also from the build's
            parity.
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

    @property
    def shown(self) -> tuple[str, str, str, str]:
        """Threads and formatted times: load, median, 95th percentile."""
        threads = "" if self.threads is None else str(self.threads)
        return threads, f"{self.load_ms:.0f}", f"{self.median_ms:.3g}", f"{self.p95_ms:.3g}"


def time_shortly(out: Path) -> list[tuple[str, ...]]:
    """Time each file of a build with a few runs, as rows: name, precision, then `Timing.shown`.

    Only files that run here in the same runtime as on devices are timed.
    """
    paths = [out / f"{MODEL}{one.SUFFIX}" for one in FORMATS.values() if one.NATIVE]
    written = [path for path in paths if path.exists()]
    timings = time_files(runnable(written), manifest_of(out), _RUNS) if written else []
    return [(one.name, one.precision, *one.shown) for one in timings]


def time_files(paths: Sequence[Path], manifest: dict[str, Any], runs: int) -> list[Timing]:
    """Time each file with each number of threads, in turn, on one picture at a time."""
    rng = np.random.default_rng(manifest["seed"])
    shape = manifest["input"]["shape"]
    pictures = manifest["input"]["name"] == "image"
    query = rng.integers(0, 256, shape, np.uint8) if pictures else rng.standard_normal(shape)
    opened = [
        _opened(path, threads)
        for path in paths
        for threads in ((1, 2) if FORMATS[format_of(path)].THREADS else (None,))
    ]
    for one in opened:
        for _ in range(_WARM_UP):
            one.run(query[None])
    # In turn, so that other load on the machine affects all of them.
    for _ in range(runs):
        for one in opened:
            start = time.perf_counter()
            one.run(query[None])
            one.taken.append(1000 * (time.perf_counter() - start))
    return [_timing(one, manifest) for one in opened]


@dataclass(frozen=True)
class _Opened:
    path: Path
    threads: int | None
    load_ms: float
    run: Callable[[Any], Any]
    taken: list[float] = field(default_factory=list)  # milliseconds


def _opened(path: Path, threads: int | None) -> _Opened:
    start = time.perf_counter()
    run = FORMATS[format_of(path)].load(path, threads)
    taken = time.perf_counter() - start
    elsewhere = getattr(run, "seconds", None)  # see `formats.batches.Blocks`
    return _Opened(path, threads, 1000 * (elsewhere() if elsewhere else taken), run)


def _timing(one: _Opened, manifest: dict[str, Any]) -> Timing:
    name = format_of(one.path)
    parity = manifest["parity"][name]
    return Timing(
        name=one.path.name,
        bytes=size(one.path),
        precision=manifest["precision"][name],
        threads=one.threads,
        load_ms=one.load_ms,
        median_ms=float(np.median(one.taken)),
        p95_ms=float(np.percentile(one.taken, 95)),
        first_equal=parity["first_equal"],
        labels_equal=parity["labels_equal"],
    )
