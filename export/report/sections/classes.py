"""Each class's recall, and which classes are confused."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pocketknn.builder.choices.neighbors import Ints
from pocketknn.export.report.blocks import Block, Chart, Matrix, Section, Table
from pocketknn.export.report.statistics.answers import Answers
from pocketknn.export.report.statistics.shares import mistakes
from pocketknn.export.report.study import Study
from pocketknn.export.report.wording import columns

_MOST_CLASSES = 40  # rows of a table, and of a matrix that can be read
_MOST_PAIRS = 15


def classes(study: Study) -> Section | None:
    """The confusion of the references, and of the held-out photos."""
    if len(study.fit.references.labels) < 2:
        return None
    blocks = [
        block
        for where, answers in study.given.items()
        if answers.by_class and (study.measured or answers is not study.own)
        for block in _confused(where.capitalize(), answers)
    ]
    if not blocks:
        return None
    return Section("classes", "Which classes are confused", tuple(blocks))


def _confused(where: str, answers: Answers) -> Iterator[Block]:
    names, counts = answers.labels, answers.confusion
    found = answers.recalls
    if len(names) <= _MOST_CLASSES:
        present = sorted(one.label for one in found)
        answered = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
        yield Matrix(
            caption=f"{where}: rows are true classes, columns predicted ones, shaded by share of"
            " the row",
            rows=tuple(names[i] for i in present),
            columns=tuple(names[i] for i in answered),
            counts=tuple(tuple(map(int, counts[i, answered])) for i in present),
        )
    else:
        yield Chart(
            caption=f"{where}: rows are the {len(found)} true classes in order, columns the"
            " predicted ones. Correct answers are on the diagonal.",
            alt="Confusion matrix as a picture; its most frequent mistakes are in the table below",
            png=_heat(counts),
        )
        yield Table(
            caption=f"{where}: the most frequent mistakes",
            columns=("true class", "predicted", "count"),
            rows=tuple(
                (names[i], names[j], str(times)) for i, j, times in mistakes(counts, _MOST_PAIRS)
            ),
            words=(1,),
        )
    shown = found[:_MOST_CLASSES]
    others = "" if len(shown) == len(found) else f", the {len(shown)} weakest of {len(found)}"
    rows = []
    for one in shown:
        mistaken = "" if one.other is None else f"{names[one.other]} ({one.mistaken})"
        rows.append((names[one.label], *columns(one.right), mistaken))
    yield Table(
        caption=f"{where}: recall of each class{others}, weakest first",
        columns=("class", "correct", "recall", "95% interval", "most often mistaken for"),
        rows=tuple(rows),
        words=(4,),
        folded=len(rows) > 12,
    )


def _heat(counts: Ints) -> bytes:
    """A PNG with a pixel per pair of classes, in colours visible on light and dark pages."""
    import io

    from PIL import Image

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    pixels = np.zeros((*shares.shape, 4), np.uint8)
    pixels[..., :3] = (224, 96, 32)
    np.einsum("iic->ic", pixels)[:, :3] = (37, 120, 210)
    pixels[..., 3] = np.round(255 * np.sqrt(shares))
    scale = max(1, -(-400 // len(counts)))
    written = io.BytesIO()
    Image.fromarray(pixels.repeat(scale, 0).repeat(scale, 1)).save(written, "PNG", optimize=True)
    return written.getvalue()
