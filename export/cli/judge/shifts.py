"""pocketknn eval --shift: how a file performs on photos that are rotated, darkened and so on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from pocketknn.builder.wording import counted
from pocketknn.export.cli.console.text import say, say_json

from .outcome import among_references, in_classes, known_among, photos_of

if TYPE_CHECKING:
    from rich.table import Table

    from pocketknn.export.analysis.robustness.measure import Shifted


def evaluate_shifts(
    out: Path,
    photos: Path,
    chart: Path | None,
    sample: int | None,
    seed: int,
    as_json: bool,
    force: bool,
) -> None:
    """Print how a file performs on photos that are rotated, darkened, blurred and so on.

    The results are also added to the build's report, unless JSON is printed.
    """
    from pocketknn.export.analysis import figures
    from pocketknn.export.analysis.robustness.chart import draw
    from pocketknn.export.analysis.robustness.measure import COUNT, check, measure, shares
    from pocketknn.export.cli.console.terminal import console, progress
    from pocketknn.export.formats.files import is_artefact
    from pocketknn.export.manifest.artefact import load, path_of
    from pocketknn.export.output.new_file import PICTURES, check_new
    from pocketknn.export.parity import metrics
    from pocketknn.export.report import extra_sections
    from pocketknn.export.report.wording import percent, plural

    if chart is not None:
        check_new(chart, PICTURES, force)
    count = COUNT if sample is None else sample
    check(count, seed)
    found = photos_of(photos)
    path = path_of(out)
    name, file = path.name, load(path)
    found = in_classes(found, file)
    with progress("shifting photos", min(count, len(found)), shown=not as_json) as done:
        rows, used = measure(name, file, found, count=count, seed=seed, progress=done)
    if chart is not None:
        figures.save(draw(rows), chart, force)
    if as_json:
        say_json([asdict(row) for row in rows])
        return
    drawn = "" if len(used) == len(found) else f", sampled from {len(found)} (--sample, --seed)"
    say(f"{name} on {counted(len(used), 'photo')}{drawn}")
    console.print(_shift_table(rows))
    say("class, top-1, neighbours: agreement with the unchanged photos;")
    say("brightness, blur, noise and JPEG are applied to the model's square input")
    say(*metrics.foreign_lines(file.metadata.labels, used))
    if known := int(known_among(used, file).sum()):
        say(f"{among_references(known)}, which inflates the results")
    if chart is not None:
        say(f"chart: {chart}")
    if not is_artefact(out):
        headings = shares(rows)
        cells = [
            (row.shift, row.words, *(percent(getattr(row, key)) for key in headings))
            for row in rows
        ]
        about = f"{name} on {plural(len(used), 'photo')}"
        picture = figures.rendered(draw(rows), "png")
        section = extra_sections.shifts(about, [*headings.values()], cells, picture)
        say(extra_sections.add(out, section))


def _shift_table(rows: Sequence[Shifted]) -> Table:
    from pocketknn.export.analysis.robustness.measure import shares
    from pocketknn.export.cli.console import tables

    measured = shares(rows)
    table = tables.table(["shift"], ["strength", *measured.values()])
    table.collapse_padding = True
    for _, group in groupby(rows, key=lambda row: row.shift):
        together = list(group)
        for row in together:
            table.add_row(
                row.shift if row is together[0] else "",
                row.words,
                *(f"{getattr(row, key):.1%}" for key in measured),
                style="dim" if row.plain else None,
                end_section=row is together[-1],
            )
    return table
