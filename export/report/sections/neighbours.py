"""How many neighbours? Accuracy against k."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pocketknn.export.report import charts
from pocketknn.export.report.blocks import Chart, Section, Table
from pocketknn.export.report.charts import Line
from pocketknn.export.report.wording import interval, percent

if TYPE_CHECKING:
    from pocketknn.export.report.study import Study

_SHOWN = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50)


def section(study: Study) -> Section | None:
    """Accuracy, or error, against the number of neighbours."""
    found, k = study.by_k, study.fit.k
    if found is None or study.own is None:
        return None
    measure = "error" if study.regress else "accuracy"
    unit = "error, in standard deviations" if study.regress else "accuracy"
    most = int(found.ks[-1])
    built, shown = min(k, most), sorted({one for one in (*_SHOWN, k) if one <= most})
    columns: tuple[str, ...] = ("k", unit)
    rows: list[tuple[str, ...]] = [(str(one), f"{found.values[one - 1]:.3f}") for one in shown]
    line = Line("", found.ks, found.values)
    if not study.regress:
        columns = ("k", "accuracy", "95% interval")
        shares = [found.shares[one - 1] for one in shown]
        rows = [
            (str(one), percent(share.value), interval(share))
            for one, share in zip(shown, shares, strict=True)
        ]
        low, high = np.transpose([share.interval for share in found.shares])
        line = Line("", found.ks, found.values, low, high)
    chart = Chart(
        caption=f"{measure.capitalize()} against k, over {len(study.own):,} references, each left"
        + (" out." if study.regress else " out; the band is the 95% interval."),
        alt=f"{measure.capitalize()} against k; the best is at k = {found.best}",
        svg=charts.lines(
            [line],
            "neighbours, k",
            unit,
            share=not study.regress,
            marked=(built, f"built: k = {k}"),
        ),
        numbers=Table(
            caption=f"The numbers: {measure} by k", columns=columns, rows=tuple(rows), folded=True
        ),
    )
    said = f"Built with k = {k}. Here k = {found.best} has the best {measure}"
    said += " too." if found.best == built else "; small differences are chance."
    return Section("k", "How many neighbours?", (said, chart))
