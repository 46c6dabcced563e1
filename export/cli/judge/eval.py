"""pocketknn eval: measure the files of a build on held-out photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.wording import counted
from pocketknn.export.cli.ask.order import model_first
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say, say_json, shown
from pocketknn.export.cli.inapplicable import refuse
from pocketknn.export.cli.options import BuildOrFile, Json

from .outcome import (
    among_references,
    in_classes,
    known_among,
    outcome_json,
    outcome_of,
    photos_of,
    say_outcome,
    say_strange,
)
from .shifts import evaluate_shifts

_COMPARED = ("top-1", "neighbours")

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

    from pocketknn.export.analysis.evaluation import Evaluation, Nearest
    from pocketknn.export.manifest.artefact import Artefact
    from pocketknn.export.report.statistics.answers import HeldOut
    from pocketknn.export.report.statistics.outcome import Outcome
    from pocketknn.export.report.study import Study


def eval_(
    context: typer.Context,
    out: BuildOrFile,
    photos: Annotated[
        Path,
        typer.Argument(
            metavar="PHOTOS", help="Photos; put them in class folders to measure accuracy."
        ),
    ],
    crop: Annotated[
        str | None,
        typer.Option(help="Another crop to measure as well, to see what a mismatch costs."),
    ] = None,
    shift: Annotated[
        bool,
        typer.Option(
            "--shift",
            help="Rotate, scale, darken, blur or otherwise change the photos, and compare.",
        ),
    ] = False,
    chart: Annotated[
        Path | None, typer.Option(help="With --shift: draw a chart to this .png or .svg.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="With --shift: number of photos to sample; default: 100.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed for the sample and the noise.")] = 0,
    as_json: Json = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier chart.")] = False,
) -> None:
    """Measure every file of a build on other photos, with the build's crop and optionally another.

    With --shift, measure one file on photos that are rotated, scaled, darkened, blurred and so on.

    Examples:
        pocketknn eval out new-photos
        pocketknn eval out new-photos --crop stretch
        pocketknn eval out new-photos --shift --chart shifts.png
    """
    from pocketknn.export.formats.keras import apart

    out, photos = map(Path, model_first("eval", str(out), str(photos)))
    if not shift:
        refuse(context, ("chart", "sample", "seed", "force"), "needs --shift")
        with apart.beside(apart.is_installed()):
            _evaluate(out, photos, crop, as_json)
        return
    if crop is not None:
        raise InputError("--shift tries every crop; leave out --crop", "option-not-applicable")
    if chart is None:
        refuse(context, ("force",), "needs --chart")
    evaluate_shifts(out, photos, chart, sample, seed, as_json, force)


def _evaluate(out: Path, photos: Path, crop: str | None, as_json: bool) -> None:
    """Print how each file of a build performs on photos, and what another crop would cost."""
    from pocketknn.builder.spec import CROPS
    from pocketknn.export.analysis.evaluation import evaluate, runs
    from pocketknn.export.cli.console.terminal import console, progress
    from pocketknn.export.formats.files import is_artefact
    from pocketknn.export.manifest.artefact import artefacts_of
    from pocketknn.export.parity import metrics
    from pocketknn.export.report import outcome_words as words
    from pocketknn.export.report.statistics.answers import HeldOut

    if crop is not None and crop not in CROPS:
        raise InputError(f"unknown crop {crop!r}; choose from {', '.join(CROPS)}", "unknown-crop")
    found = photos_of(photos)
    files = artefacts_of(out, note)
    name, file = files[0]
    nearest = _exact(out, file)
    crops = {file.metadata.manifest["input"].get("crop"), crop} - {None}
    total = runs(len(files), len(found), len(crops))
    begun = cache(partial(_begun, out))

    def begin() -> None:
        if not is_artefact(out):
            with suppress(Exception):  # `_report` fails on it again, and says so
                begun()

    with progress(_work(len(found), len(files), len(crops)), total, shown=not as_json) as done:
        made = evaluate(files, in_classes(found, file), crop, nearest, done, begin)
    references = known_among(made.photos, file)
    known = int(references.sum())
    held_out = HeldOut.of(made, file.metadata.labels, known)
    outcome, same = outcome_of(held_out, file, references)
    report = _report(out, begun, held_out, outcome) if not is_artefact(out) else ""
    if as_json:
        first, *others = ({**asdict(row), "promise": None} for row in made.rows)
        say_json([{**first, "promise": outcome and outcome_json(outcome)}, *others])
        return
    compared = nearest is not None or len(made.rows) > 1  # a single row has nothing to compare with
    console.print(_table(made.rows, compared, exact=nearest is not None))
    if compared:
        basis = name if nearest is None else "the exact k-NN over float32 embeddings"
        say(f"top-1, neighbours: agreement with {basis}, on pictures cropped as in the build")
        reasons = "int8 or float16 weights, or from another crop"
        say(f"({made.rows[0].crop}); differences come from {reasons}")
        if nearest is None and (weights := _precision(file)) != "float32":
            say(f"{name} itself has {weights} weights; the accuracy they cost is not measured here")
    say(*metrics.foreign_lines(file.metadata.labels, made.photos))
    if known:
        left_out = "; the comparison with the promise does not count such photos" if outcome else ""
        say(f"{among_references(known)}, which inflates the accuracy above{left_out}")
    if outcome:
        say_outcome(outcome, file)
    if same:
        say(words.found_class(same, "photo"))
    elif not outcome:
        say_strange(held_out, file, references)
    if report:
        say(report)


def _work(photos: int, files: int, crops: int) -> str:
    """What the progress bar counts, as a product that gives its total."""
    ran = counted(files, "file") + (f" × {crops} crops" if crops > 1 else "")
    return f"{counted(photos, 'photo')} × (reading + {ran})"


def _precision(file: Artefact) -> str:
    """The precision of the backbone in a file."""
    return str(file.metadata.manifest["precision"][file.format])


def _exact(out: Path, file: Artefact) -> Nearest | None:
    """The exact neighbour search, if a build's first file may miss some due to its precision.

    None if the precision is float32, or if the backbone is not available.
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
    backbone, space, k = build.backbone, build.space, build.fit.k
    if backbone is None:
        return None

    def nearest(pictures: NDArray[np.uint8]) -> NDArray[np.integer]:
        queries = space.project(run(backbone, pictures))
        return exact.search(queries, space.rows, k, space.metric).indices

    return nearest


def _begun(out: Path) -> Study:
    """The study of a build, with what the photos do not change: that takes seconds."""
    from pocketknn.export.report.write import begin, study_again

    study = study_again(out)
    begin(study)
    return study


def _report(out: Path, begun: Callable[[], Study], held_out: HeldOut, came: Outcome | None) -> str:
    """Add these photos to the build's report; returns a line that says where it is, or why not."""
    from pocketknn.export.analysis.latency import time_shortly
    from pocketknn.export.formats.requirements import missing
    from pocketknn.export.report.write import report_eval

    try:
        return f"details: see {report_eval(out, begun(), held_out, time_shortly(out), came)}"
    except Exception as error:  # drawing and timing may raise anything; the figures are printed
        return f"no report was written: {missing(error) or first_line(error)}"


def _table(rows: Sequence[Evaluation], compared: bool, *, exact: bool) -> Table:
    from rich.text import Text

    from pocketknn.export.cli.console import tables

    measured: dict[str, list[float | None]] = {
        "accuracy": [row.accuracy for row in rows],
        "unknown": [row.unknown for row in rows],
    }
    if compared:
        measured["top-1"] = [row.first_equal for row in rows]
        measured["neighbours"] = [row.recall for row in rows]
    headings = [name for name, shares in measured.items() if None not in shares]
    table = tables.table(["model file", "crop"], ["photos", *headings])
    for number, row in enumerate(rows):
        # If the others are compared with the first row, it agrees with itself by construction.
        itself = number == 0 and not exact
        cells = [
            "–" if itself and name in _COMPARED else f"{measured[name][number]:.1%}"
            for name in headings
        ]
        table.add_row(Text(shown(row.name)), row.crop, str(row.photos), *cells)
    return table
