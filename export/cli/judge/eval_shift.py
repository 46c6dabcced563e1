"""pocketknn eval --shift: what of a model's answers stays when photos are taken otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from pocketknn.builder.photos.find import find
from pocketknn.export.analysis import figures, match
from pocketknn.export.analysis.robustness.chart import draw
from pocketknn.export.analysis.robustness.measure import COUNT, Shifted, measure, shares
from pocketknn.export.cli.console.progress import progress
from pocketknn.export.cli.console.quiet import say
from pocketknn.export.cli.console.tables import without_strays
from pocketknn.export.cli.console.terminal import console, say_json
from pocketknn.export.cli.refs.files import counted
from pocketknn.export.formats.files import is_artefact
from pocketknn.export.manifest.artefact import artefact_of
from pocketknn.export.output.atomic_file import PICTURES, check_new
from pocketknn.export.parity import metrics
from pocketknn.export.report.sections import extra_sections


def evaluate_shifts(
    out: Path,
    photos: Path,
    *,
    chart: Path | None = None,
    count: int = COUNT,
    seed: int = 0,
    as_json: bool = False,
    force: bool = False,
) -> None:
    """Print what a file makes of photos that are turned, darker, blurred and so on.

    The report of the build shows it too, but not when JSON is asked for.

    Args:
        out: a build, of which the first file is taken, or one of its files.
        photos: with a folder per class for the accuracy.
        chart: a `.png` or `.svg` to draw.
        count: how many photos are drawn at most.
        seed: draws them, and noise.
        as_json: print JSON.
        force: replace an earlier chart.

    Raises:
        InputError: `out` holds no model of pictures, none of the photos can be read, or the chart
            cannot be written.
    """
    if chart is not None:
        check_new(chart, PICTURES, force)
    found = without_strays(find(photos, note=say))
    name, file = artefact_of(out)
    with progress(shown=not as_json) as bar:
        step = bar.add_task("shifting photos", total=min(count, len(found)))
        rows, used = measure(
            name,
            file,
            found,
            count=count,
            seed=seed,
            progress=lambda done: bar.advance(step, done),
        )
    if chart is not None:
        figures.save(draw(rows), chart, force)
    if as_json:
        say_json([asdict(row) for row in rows])
        return
    drawn = "" if len(used) == len(found) else f", drawn of {len(found)} (--sample, --seed)"
    console.print(f"{name} on {counted(len(used), 'photo')}{drawn}", markup=False)
    console.print(_table(rows))
    console.print("class, first, neighbours: the same as for the photos as they are;")
    console.print("brightness, blur, noise and JPEG are done to the model's square, at its size")
    for line in metrics.foreign_lines(file.metadata.labels, used):
        console.print(line, markup=False)
    ids = [str(row["id"]) for row in file.metadata.rows()]
    if known := match.among(used, ids):
        console.print(f"{known} of the photos are references themselves, which flatters the model")
    if chart is not None:
        console.print(f"{chart} shows it", markup=False)
    if not is_artefact(out):
        section = extra_sections.shifts(rows, figures.rendered(draw(rows), "png"))
        console.print(extra_sections.add(out, section), markup=False)


def _table(rows: Sequence[Shifted]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    shown = shares(rows)
    table.add_column("shift", no_wrap=True)
    for heading in ("strength", *shown.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    for _, group in groupby(rows, key=lambda row: row.shift):
        together = list(group)
        for row in together:
            cells = [f"{getattr(row, key):.1%}" for key in shown]
            table.add_row(
                row.shift if row is together[0] else "",
                row.told,
                *cells,
                style="dim" if row.plain else None,
                end_section=row is together[-1],
            )
    return table
