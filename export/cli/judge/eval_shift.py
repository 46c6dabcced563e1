"""pocketknn eval --shift: what of a model's answers stays when photos are taken otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from pocketknn.export.cli.console.text import say, say_json

if TYPE_CHECKING:
    from rich.table import Table

    from pocketknn.export.analysis.robustness.measure import Shifted


def evaluate_shifts(
    out: Path,
    photos: Path,
    *,
    chart: Path | None,
    count: int | None,
    seed: int,
    as_json: bool,
    force: bool,
) -> None:
    """Print what a file makes of photos that are turned, darker, blurred and so on.

    The report of the build shows it too, but not when JSON is asked for.
    """
    from pocketknn.builder.references.match import among
    from pocketknn.export.analysis import figures
    from pocketknn.export.analysis.robustness.chart import draw
    from pocketknn.export.analysis.robustness.measure import COUNT, measure, shares
    from pocketknn.export.cli.console.progress import progress
    from pocketknn.export.cli.console.terminal import console
    from pocketknn.export.cli.refs.files import counted
    from pocketknn.export.formats.files import is_artefact
    from pocketknn.export.manifest.artefact import artefact_of
    from pocketknn.export.output.atomic_file import PICTURES, check_new
    from pocketknn.export.parity import metrics
    from pocketknn.export.report import extra_sections
    from pocketknn.export.report.wording import percent, plural

    from .photos import photos_of

    if chart is not None:
        check_new(chart, PICTURES, force)
    count = COUNT if count is None else count
    found = photos_of(photos)
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
    say(f"{name} on {counted(len(used), 'photo')}{drawn}")
    console.print(_table(rows))
    say("class, first, neighbours: the same as for the photos as they are;")
    say("brightness, blur, noise and JPEG are done to the model's square, at its size")
    say(*metrics.foreign_lines(file.metadata.labels, used))
    ids = [str(row["id"]) for row in file.metadata.rows()]
    if known := among(used, ids):
        say(f"{known} of the photos are references themselves, which flatters the model")
    if chart is not None:
        say(f"{chart} shows it")
    if not is_artefact(out):
        words = shares(rows)
        cells = [
            (row.shift, row.told, *(percent(getattr(row, key)) for key in words)) for row in rows
        ]
        about = f"{name} on {plural(len(used), 'photo')}"
        picture = figures.rendered(draw(rows), "png")
        section = extra_sections.shifts(about, [*words.values()], cells, picture)
        say(extra_sections.add(out, section))


def _table(rows: Sequence[Shifted]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from pocketknn.export.analysis.robustness.measure import shares

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
