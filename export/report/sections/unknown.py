"""When is a picture unknown? The threshold, and both errors of all thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.export.report import charts
from pocketknn.export.report.blocks import Chart, Section, Table
from pocketknn.export.report.charts import Line
from pocketknn.export.report.statistics.rejection import below
from pocketknn.export.report.wording import percent

if TYPE_CHECKING:
    from pocketknn.export.report.statistics.rejection import ErrorCurves
    from pocketknn.export.report.study import Study

_RATES = (0.01, 0.02, 0.05, 0.1, 0.2)


def section(study: Study) -> Section | None:
    """What is known and rejected, against what is strange and accepted."""
    curves, threshold = study.rejection, study.fit.threshold
    if curves is None:
        return None
    places = curves.thresholds
    lines = [Line("known, wrongly rejected", places, curves.rejected(places))]
    for name, scores in (
        ("of a class left out, wrongly accepted", curves.left_out),
        ("strangers, wrongly accepted", curves.strangers),
    ):
        if len(scores):
            lines.append(Line(name, places, 1 - below(scores, places)))
    chart = Chart(
        caption="The two errors of every threshold: the higher it is, the more known pictures are"
        " rejected, and the fewer strange ones are accepted.",
        alt="Two curves that cross: false rejections rise with the threshold, false acceptances"
        " fall; the table has their values",
        svg=charts.lines(
            lines,
            "threshold: least score of the nearest reference",
            "share of pictures",
            marked=None if threshold is None else (threshold, f"built: {threshold:.4g}"),
        ),
        numbers=_at_rates(curves, threshold),
    )
    return Section("unknown", "When is a picture unknown?", (*_rejection(study), chart))


def _rejection(study: Study) -> Iterator[str]:
    reject = study.manifest["reject"]
    if not reject:
        yield (
            "This build knows no “unknown”: it names a class for any picture, however strange."
            " Build with --reject auto, or with a threshold from the curves."
        )
        return
    yield (
        f"A picture is unknown where its nearest reference scores below {reject['threshold']:.4g}."
    )
    if reject["known"] is not None:
        yield f"It rejects {percent(reject['known'])} of the references, each left out."
    if reject["left_out_classes"] is not None:
        how = (
            "; what is compared was found anew without the class"
            if study.manifest["projection"]
            else ", with the threshold chosen anew without them"
        )
        yield (
            f"Of the pictures of a class that is left out, it rejects"
            f" {percent(reject['left_out_classes'])}{how}."
        )
    if reject["strangers"] is not None:
        yield (
            f"It rejects {percent(reject['strangers'])} of the"
            f" {reject['strangers_asked']:,} strangers."
        )


def _at_rates(curves: ErrorCurves, threshold: float | None) -> Table:
    accepted = {
        name: scores
        for name, scores in (
            ("left-out class, accepted", curves.left_out),
            ("strangers, accepted", curves.strangers),
        )
        if len(scores)
    }
    quantiles = np.quantile(curves.known, _RATES).tolist()
    limits = np.unique([*quantiles, *([] if threshold is None else [threshold])])
    shares = [curves.rejected(limits), *(1 - below(scores, limits) for scores in accepted.values())]
    rows = tuple(
        (f"{limit:.4g}" + (" (built)" if limit == threshold else ""), *map(percent, values))
        for limit, *values in zip(limits, *shares, strict=True)
    )
    return Table(
        caption="The numbers: both errors by threshold",
        columns=("threshold", "known, rejected", *accepted),
        rows=rows,
        folded=True,
    )
