"""How many examples are enough?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.export.report import charts
from pocketknn.export.report.blocks import Chart, Section, Table
from pocketknn.export.report.charts import Line
from pocketknn.export.report.wording import percent, points

if TYPE_CHECKING:
    from pocketknn.export.report.statistics.learning_curve import LearningCurve
    from pocketknn.export.report.study import Study

_WITHIN = 0.02  # what accuracy may be lost and still count as enough
_FEW = 10  # examples that are few, whatever the curve says


def section(study: Study) -> Section | None:
    """Accuracy, or error, against the number of examples."""
    curve = study.curve
    if curve is None or len(curve.sizes) < 2:
        return None
    what = "examples" if curve.regress else "examples per class"
    measure = "error" if curve.regress else "accuracy"
    shown = "{:.3f}".format if curve.regress else percent
    columns = (curve.mean, curve.values.min(axis=0), curve.values.max(axis=0))
    caption = f"{measure.capitalize()} against the number of {what}"
    chart = Chart(
        caption=f"{caption}: the mean of {len(curve.values)} seeded draws, and the band from the"
        f" worst to the best of them. {curve.queries:,} references were asked for, each left out.",
        alt=f"{caption}: from {shown(curve.mean[0])} with {curve.sizes[0]}"
        f" to {shown(curve.mean[-1])} with {curve.sizes[-1]}",
        svg=charts.lines(
            [Line("", curve.sizes, *columns)],
            what,
            "error, in standard deviations" if curve.regress else "accuracy",
            share=not curve.regress,
            logarithmic=True,
        ),
        numbers=Table(
            caption=f"The numbers: {measure} by {what}",
            columns=(what, "mean", "least", "most"),
            rows=tuple(
                (str(size), *map(shown, values))
                for size, *values in zip(curve.sizes, *columns, strict=True)
            ),
            folded=True,
        ),
    )
    return Section("examples", "How many examples are enough?", (*_enough(study, curve), chart))


def _enough(study: Study, curve: LearningCurve) -> Iterator[str]:
    last = int(curve.sizes[-1])
    if not curve.regress:
        yield from _gains(curve)
        counts = study.manifest["references"]["per_label"].values()
        if min(counts) < curve.largest:
            yield (
                f"The classes have {min(counts)} to {max(counts)} examples; from where a class has"
                " no more, all of it is used."
            )
        if last < curve.largest - 1:
            yield f"The curve ends at {last}, to bound its time; the build holds more."
    if last < _FEW:
        yield "These are few examples, so the curve is rough."


def _gains(curve: LearningCurve) -> Iterator[str]:
    last = int(curve.sizes[-1])
    if (least := curve.enough(_WITHIN)) < last:
        yield (
            f"With {least} example{'s' if least > 1 else ''} per class or more the mean accuracy"
            f" stays within 2 points of the {percent(curve.mean[-1])} that {last} reach."
        )
    half = int(np.searchsorted(curve.sizes, last / 2, side="right")) - 1
    if half >= 0:
        gain = curve.mean[-1] - curve.mean[half]
        advice = "more photos should still help" if gain > _WITHIN else "more of them bring little"
        yield f"From {curve.sizes[half]} to {last} it changed by {points(gain)}: {advice}."
