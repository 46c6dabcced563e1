"""pocketknn eval: how good the files of a build are on photos they do not hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketknn.builder.errors import InputError, first_line
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say, say_json, shown
from pocketknn.export.cli.inapplicable import refuse
from pocketknn.export.cli.options import BuildOrFile, Json

if TYPE_CHECKING:
    from rich.table import Table

    from pocketknn.export.analysis.evaluation import Evaluated, Evaluation
    from pocketknn.export.manifest.artefact import Artefact


def evaluate(
    context: typer.Context,
    out: BuildOrFile,
    photos: Annotated[Path, typer.Argument(help="Photos, with a folder per class for accuracy.")],
    crop: Annotated[
        str | None, typer.Option(help="Also with this crop: what a mismatch costs.")
    ] = None,
    shift: Annotated[
        bool,
        typer.Option("--shift", help="Turn, scale, darken, blur … the photos: what of it matters."),
    ] = False,
    chart: Annotated[
        Path | None, typer.Option(help="With --shift: a .png or .svg to draw.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="With --shift: at most so many photos, drawn; 100.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the photos of --shift, and noise.")] = 0,
    as_json: Json = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier chart.")] = False,
) -> None:
    """Measure every file of a build on other photos, cropped as built and otherwise.

    With --shift: one file, on photos turned, scaled, darkened, blurred and so on.
    """
    if not shift:
        refuse(context, ("chart", "sample", "seed", "force"), "goes with --shift")
        evaluate_build(out, photos, crop, as_json)
        return
    if crop is not None:
        raise InputError("--shift tries every crop; leave --crop out")
    if chart is None:
        refuse(context, ("force",), "goes with --chart")
    from .eval_shift import evaluate_shifts

    evaluate_shifts(out, photos, chart=chart, count=sample, seed=seed, as_json=as_json, force=force)


def evaluate_build(out: Path, photos: Path, crop: str | None, as_json: bool) -> None:
    """Print what each file of a build makes of photos, and what another crop would cost.

    Raises:
        InputError: `out` holds no model of pictures, or none of the photos can be read.
    """
    from pocketknn.builder.references.match import among
    from pocketknn.builder.spec import CROPS
    from pocketknn.export.analysis import evaluation
    from pocketknn.export.cli.console.terminal import console
    from pocketknn.export.formats.files import is_artefact
    from pocketknn.export.manifest.artefact import artefacts_of
    from pocketknn.export.parity import metrics

    from .photos import photos_of

    if crop is not None and crop not in CROPS:
        raise InputError(f"unknown crop {crop!r}; choose from {', '.join(CROPS)}")
    found = photos_of(photos)
    files = artefacts_of(out, note)
    made: list[Evaluated] = []
    for name, file in files:
        basis = made[0].outputs["indices"] if made else None
        made.append(evaluation.evaluate(name, file, found, crop, basis))
    rows = [row for one in made for row in one.rows]
    ids = [str(row["id"]) for row in files[0][1].metadata.rows()]
    known = among(found, ids)
    report = _report(out, files[0][1], made, known) if not is_artefact(out) else ""
    if as_json:
        say_json([asdict(row) for row in rows])
        return
    console.print(_table(rows))
    if len(rows) > 1:
        own = files[0][1].metadata.manifest["input"]["crop"]
        say(f"first, neighbours: the same as {files[0][0]} finds with {own},")
        say("the crop it was built with; 8 bits, or a platform's crop, lose the rest")
    say(*metrics.foreign_lines(files[0][1].metadata.labels, made[0].photos))
    if known:
        say(f"{known} of the photos are references themselves, which flatters the accuracy")
    if report:
        say(report)


def _report(out: Path, file: Artefact, made: Sequence[Evaluated], known: int) -> str:
    """Write the build's report with these photos; a line that says where, or why not."""
    from pocketknn.export.analysis.latency import time_shortly
    from pocketknn.export.formats.requirements import missing
    from pocketknn.export.report.held_out import FileResult, HeldOut
    from pocketknn.export.report.write import report_eval

    rows = [one.rows[0] for one in made]
    results = [FileResult(row.name, row.accuracy, row.unknown) for row in rows]
    labels = file.metadata.labels
    try:
        held_out = HeldOut.of(made[0].photos, made[0].outputs, labels, results, copies=known)
        return f"what it errs on is in {report_eval(out, held_out, time_shortly(out))}"
    except Exception as error:  # whatever drawing and timing raise: the figures are there
        return f"no report was written: {missing(error) or first_line(error)}"


def _table(rows: Sequence[Evaluation]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("artefact", "crop"):
        table.add_column(heading, no_wrap=True)
    measured: dict[str, list[float | None]] = {
        "accuracy": [row.accuracy for row in rows],
        "unknown": [row.unknown for row in rows],
    }
    if len(rows) > 1:  # one alone is what the others are compared with
        measured["first"] = [row.first_equal for row in rows]
        measured["neighbours"] = [row.recall for row in rows]
    headings = [name for name, shares in measured.items() if None not in shares]
    for heading in ("photos", *headings):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, row in enumerate(rows):
        cells = [f"{measured[name][number]:.1%}" for name in headings]
        table.add_row(Text(shown(row.name)), row.crop, str(row.photos), *cells)
    return table
