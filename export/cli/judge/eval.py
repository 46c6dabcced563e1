"""pocketknn eval: how good the files of a build are on photos they do not hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.photos.decode import Photo, pixels
from pocketknn.builder.photos.find import find
from pocketknn.builder.spec import CROPS
from pocketknn.export.analysis import match
from pocketknn.export.analysis.readable import readable
from pocketknn.export.cli.console.quiet import say
from pocketknn.export.cli.console.tables import without_strays
from pocketknn.export.cli.console.terminal import console, say_json, shown
from pocketknn.export.formats.files import is_artefact
from pocketknn.export.formats.protocol import Outputs
from pocketknn.export.formats.requirements import missing
from pocketknn.export.manifest.artefact import Artefact, artefacts_of, picture_input
from pocketknn.export.parity import metrics
from pocketknn.export.report.data import held_out_of
from pocketknn.export.report.write import report_eval


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One file on one way of making squares.

    Attributes:
        name: of the file.
        crop: how the photos were cropped.
        photos: how many there were.
        accuracy: share of the photos whose label won; None without labels or a vote. Those of a
            class that the model does not know are errors.
        foreign: how many photos are of such a class.
        unknown: share that is taken for a stranger; None without a threshold.
        first_equal: share whose nearest reference is the one that the build's first file finds
            with the build's own crop.
        recall: share of the neighbours found that are found there.
    """

    name: str
    crop: str
    photos: int
    accuracy: float | None
    foreign: int
    unknown: float | None
    first_equal: float
    recall: float


def evaluate_build(out: Path, photos: Path, crop: str | None, as_json: bool) -> None:
    """Print what each file of a build makes of photos, and what another crop would cost.

    Raises:
        InputError: `out` holds no model of pictures, or none of the photos can be read.
    """
    if crop is not None and crop not in CROPS:
        raise InputError(f"unknown crop {crop!r}; choose from {', '.join(CROPS)}")
    found = without_strays(find(photos, note=say))
    files = artefacts_of(out, say)
    made: list[_Evaluated] = []
    for name, file in files:
        basis = made[0].outputs["indices"] if made else None
        made.append(_evaluated(name, file, found, crop, basis))
    rows = [row for one in made for row in one.rows]
    ids = [str(row["id"]) for row in files[0][1].metadata.rows()]
    known = match.among(found, ids)
    report = _report(out, files[0][1], made, known) if not is_artefact(out) else ""
    if as_json:
        say_json([asdict(row) for row in rows])
        return
    console.print(_table(rows))
    if len(rows) > 1:
        own = files[0][1].metadata.manifest["input"]["crop"]
        console.print(f"first, neighbours: the same as {files[0][0]} finds with {own},")
        console.print("the crop it was built with; 8 bits, or a platform's crop, lose the rest")
    for line in metrics.foreign_lines(files[0][1].metadata.labels, made[0].photos):
        console.print(line, markup=False)
    if known:
        console.print(
            f"{known} of the photos are references themselves, which flatters the accuracy"
        )
    if report:
        console.print(report, markup=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Evaluated:
    rows: list[Evaluation]
    photos: tuple[Photo, ...]
    outputs: Outputs  # with the crop of the build


def _evaluated(
    name: str,
    file: Artefact,
    photos: Sequence[Photo],
    crop: str | None,
    basis: NDArray[np.integer] | None,
) -> _Evaluated:
    given = picture_input(name, file.metadata)
    crops = list(dict.fromkeys((given["crop"], crop or given["crop"])))
    used, squares = _squares(photos, given["shape"][0], crops)
    outputs = {each: file.run(squares[each]) for each in crops}
    labels = file.metadata.labels
    own = outputs[given["crop"]]["indices"] if basis is None else basis
    rows = [
        Evaluation(
            name=name,
            crop=each,
            photos=len(used),
            accuracy=metrics.accuracy(outputs[each], labels, used),
            foreign=metrics.foreign(labels, used).total(),
            unknown=metrics.unknown(outputs[each], file.metadata.manifest),
            first_equal=metrics.first_equal(own, indices),
            recall=metrics.recall(own, indices),
        )
        for each in crops
        for indices in [outputs[each]["indices"]]
    ]
    return _Evaluated(rows=rows, photos=tuple(used), outputs=outputs[given["crop"]])


def _report(out: Path, file: Artefact, made: Sequence[_Evaluated], known: int) -> str:
    """Write the build's report with these photos; a line that says where, or why not."""
    rows = [one.rows[0] for one in made]
    try:
        held_out = held_out_of(
            made[0].photos, made[0].outputs, file.metadata.labels, rows, copies=known
        )
        return f"what it errs on is in {report_eval(out, held_out)}"
    except Exception as error:  # whatever drawing and timing raise: the figures are there
        return f"no report was written: {missing(error) or first_line(error)}"


def _squares(
    photos: Sequence[Photo], size: int, crops: Sequence[str]
) -> tuple[list[Photo], dict[str, NDArray[np.uint8]]]:
    made = list(readable(photos, lambda photo: [pixels(photo, size, crop) for crop in crops]))
    squares = {crop: np.stack([row[i] for _, row in made]) for i, crop in enumerate(crops)}
    return [photos[place] for place, _ in made], squares


def _table(rows: Sequence[Evaluation]) -> Table:
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
