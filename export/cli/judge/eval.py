"""pocketknn eval: how good the files of a build are on photos that they do not hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError, first_line
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say, say_json, shown
from pocketknn.export.cli.inapplicable import refuse
from pocketknn.export.cli.options import BuildOrFile, Json

from .outcome import in_classes, outcome_json, outcome_of, say_outcome

_COMPARED = ("first", "neighbours")

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

    from pocketknn.export.analysis.evaluation import Evaluation, Nearest
    from pocketknn.export.analysis.robustness.measure import Shifted
    from pocketknn.export.manifest.artefact import Artefact
    from pocketknn.export.report.statistics.answers import HeldOut
    from pocketknn.export.report.statistics.outcome import Outcome


def eval_(
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
        _evaluate(out, photos, crop, as_json)
        return
    if crop is not None:
        raise InputError("--shift tries every crop; leave --crop out")
    if chart is None:
        refuse(context, ("force",), "goes with --chart")
    _evaluate_shifts(out, photos, chart, sample, seed, as_json, force)


def _evaluate(out: Path, photos: Path, crop: str | None, as_json: bool) -> None:
    """Print what each file of a build makes of photos, and what another crop would cost."""
    from pocketknn.builder.spec import CROPS
    from pocketknn.export.analysis.evaluation import evaluate
    from pocketknn.export.cli.console.terminal import console
    from pocketknn.export.formats.files import is_artefact
    from pocketknn.export.manifest.artefact import artefacts_of
    from pocketknn.export.parity import metrics
    from pocketknn.export.report import outcome_words as words
    from pocketknn.export.report.statistics.answers import HeldOut

    if crop is not None and crop not in CROPS:
        raise InputError(f"unknown crop {crop!r}; choose from {', '.join(CROPS)}")
    found = _photos_of(photos)
    files = artefacts_of(out, note)
    name, file = files[0]
    nearest = _exact(out, file)
    made = evaluate(files, in_classes(found, file), crop, nearest)
    references = _known(made.photos, file)
    known = int(references.sum())
    held_out = HeldOut.of(made, file.metadata.labels, known)
    came, same = outcome_of(held_out, file, references)
    report = _report(out, held_out, came) if not is_artefact(out) else ""
    if as_json:
        first, *others = ({**asdict(row), "promise": None} for row in made.rows)
        say_json([{**first, "promise": came and outcome_json(came)}, *others])
        return
    compared = nearest is not None or len(made.rows) > 1  # one alone has nothing beside it
    console.print(_table(made.rows, compared, exact=nearest is not None))
    if compared:
        basis = name if nearest is None else "the exact k-NN over float32 embeddings"
        say(f"first, neighbours: the same as {basis} finds with {made.rows[0].crop},")
        say("the crop it was built with; 8 bits, or a platform's crop, lose the rest")
        if nearest is None and (weights := _precision(file)) != "float32":
            say(f"{name} has {weights} weights itself: what they lose is not seen here")
    say(*metrics.foreign_lines(file.metadata.labels, made.photos))
    if known:
        say(f"{known} of the photos are references themselves, which flatters the accuracy")
    if came:
        say_outcome(came, file)
    if same:
        say(words.found_class(same, "photos"))
    elif not (came or file.metadata.manifest["targets"] or any(one.label for one in found)):
        say("nothing tells whether what is found is right: put the photos into class folders")
    if report:
        say(report)


def _evaluate_shifts(
    out: Path,
    photos: Path,
    chart: Path | None,
    sample: int | None,
    seed: int,
    as_json: bool,
    force: bool,
) -> None:
    """Print what a file makes of photos that are turned, darker, blurred and so on.

    The report of the build shows it too, but not when JSON is asked for.
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
    from pocketknn.export.report.wording import counted, percent, plural

    if chart is not None:
        check_new(chart, PICTURES, force)
    count = COUNT if sample is None else sample
    check(count, seed)
    found = _photos_of(photos)
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
    drawn = "" if len(used) == len(found) else f", drawn of {len(found)} (--sample, --seed)"
    say(f"{name} on {counted(len(used), 'photo')}{drawn}")
    console.print(_shift_table(rows))
    say("class, first, neighbours: the same as for the photos as they are;")
    say("brightness, blur, noise and JPEG are done to the model's square, at its size")
    say(*metrics.foreign_lines(file.metadata.labels, used))
    if known := int(_known(used, file).sum()):
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


def _precision(file: Artefact) -> str:
    """In what the backbone of a file is written."""
    return str(file.metadata.manifest["precision"][file.format])


def _exact(out: Path, file: Artefact) -> Nearest | None:
    """The exact neighbours, where the first file of a build has lost some by its precision.

    None where that is float32, and where the backbone is not at hand.
    """
    from pocketknn.builder.embedding.local import run
    from pocketknn.builder.knn import exact
    from pocketknn.export.formats.files import is_artefact
    from pocketknn.export.manifest.metadata import manifest_of
    from pocketknn.export.manifest.reopen import reopen

    if is_artefact(out) or _precision(file) == "float32":
        return None
    try:
        build = reopen(out, manifest_of(out))
    except InputError:
        return None
    backbone, space, k = build.backbone, build.space, int(build.manifest["k"])
    if backbone is None:
        return None

    def nearest(pictures: NDArray[np.uint8]) -> NDArray[np.integer]:
        queries = space.project(run(backbone, pictures))
        return exact.search(queries, space.rows, k, space.metric).indices

    return nearest


def _photos_of(place: Path) -> list[builder.Photo]:
    """The photos that a build would take of a place; says how many others there are."""
    from pocketknn.builder.embedding.embedded import with_labels

    wanted, skipped = with_labels(builder.find(place, note=note))
    if skipped:
        note(f"{len(skipped)} left out, such as {shown(skipped[0].name)}: {skipped[0].reason}")
    return wanted


def _known(photos: Sequence[builder.Photo], file: Artefact) -> NDArray[np.bool_]:
    """Which of the photos are references of a file."""
    from pocketknn.builder.references.match import among

    return among(photos, [str(row["id"]) for row in file.metadata.rows()])


def _report(out: Path, held_out: HeldOut, came: Outcome | None) -> str:
    """Write the build's report with these photos; a line that says where, or why not."""
    from pocketknn.export.analysis.latency import time_shortly
    from pocketknn.export.formats.requirements import missing
    from pocketknn.export.report.write import report_eval

    try:
        return f"details are in {report_eval(out, held_out, time_shortly(out), came)}"
    except Exception as error:  # whatever drawing and timing raise: the figures are there
        return f"no report was written: {missing(error) or first_line(error)}"


def _table(rows: Sequence[Evaluation], compared: bool, *, exact: bool) -> Table:
    from rich.text import Text

    from pocketknn.export.cli.console import tables

    measured: dict[str, list[float | None]] = {
        "accuracy": [row.accuracy for row in rows],
        "unknown": [row.unknown for row in rows],
    }
    if compared:
        measured["first"] = [row.first_equal for row in rows]
        measured["neighbours"] = [row.recall for row in rows]
    headings = [name for name, shares in measured.items() if None not in shares]
    table = tables.table(["artefact", "crop"], ["photos", *headings])
    for number, row in enumerate(rows):
        # Where the others are compared with the first, it agrees with itself by construction.
        itself = number == 0 and not exact
        cells = [
            "–" if itself and name in _COMPARED else f"{measured[name][number]:.1%}"
            for name in headings
        ]
        table.add_row(Text(shown(row.name)), row.crop, str(row.photos), *cells)
    return table


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
                row.told,
                *(f"{getattr(row, key):.1%}" for key in measured),
                style="dim" if row.plain else None,
                end_section=row is together[-1],
            )
    return table
