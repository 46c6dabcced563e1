"""How accuracy would change with more examples, or another number of neighbours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pocketknn.export.report.blocks import Chart, Section, Table
from pocketknn.export.report.html.charts import Line, lines
from pocketknn.export.report.statistics.curves import LearningCurve
from pocketknn.export.report.statistics.forecast import Forecast
from pocketknn.export.report.study import Study
from pocketknn.export.report.wording import NO_MISTAKES, interval, percent, plural

_FEW = 10  # fewer examples make a rough curve, whatever its shape
_SHOWN = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50)


def examples(study: Study) -> Section | None:
    """Accuracy, or error, by the number of examples."""
    curve = study.curve
    if curve is None:
        return None
    what = "examples" if curve.regress else "examples per class"
    measure = "error" if curve.regress else "accuracy"
    shown = "{:.3f}".format if curve.regress else percent
    columns = (curve.mean, curve.values.min(axis=0), curve.values.max(axis=0))
    caption = f"{measure.capitalize()} against the number of {what}"
    chart = Chart(
        caption=f"{caption}: the mean of {len(curve.values)} seeded draws; the band is from the"
        f" worst to the best. Measured on {plural(curve.queries, 'held-out reference')}.",
        alt=f"{caption}: from {shown(curve.mean[0])} with {curve.sizes[0]}"
        f" to {shown(curve.mean[-1])} with {curve.sizes[-1]}",
        svg=lines(
            [Line("", curve.sizes, *columns)],
            what,
            "error, in standard deviations" if curve.regress else "accuracy",
            share=not curve.regress,
            logarithmic=True,
        ),
        numbers=Table(
            caption=f"The numbers: {measure} by {what}",
            columns=(what, "mean", "minimum", "maximum"),
            rows=tuple(
                (str(size), *map(shown, values))
                for size, *values in zip(curve.sizes, *columns, strict=True)
            ),
            folded=True,
        ),
    )
    return Section("examples", "Would more examples help?", (*_remarks(study, curve), chart))


def _remarks(study: Study, curve: LearningCurve) -> Iterator[str]:
    last = int(curve.sizes[-1])
    if not curve.regress:
        if study.flawless:
            yield NO_MISTAKES
        elif study.forecast:
            yield _gain(study.forecast)
            if study.forecast.helps and not _rises(curve):
                yield (
                    f"The end of the curve does not show this gain, as {curve.queries:,} held-out"
                    " references are too few for that: the forecast combines the whole curve with"
                    " the usual effect of additional photos."
                )
        counts = study.manifest["references"]["per_label"].values()
        if min(counts) < curve.largest:
            yield (
                f"The classes have {min(counts)} to {max(counts)} examples; if a class has too few,"
                " all are used."
            )
        if last < curve.largest - 1:
            yield f"The curve ends at {last} to save time; the build has more examples."
    if last < _FEW:
        yield "There are few examples, so the curve is rough."


def _rises(curve: LearningCurve) -> bool:
    """Whether the last doubling of the examples raised the accuracy."""
    half = np.flatnonzero(curve.sizes <= curve.sizes[-1] / 2)
    return not len(half) or bool(curve.mean[-1] > curve.mean[half[-1]])


def _gain(found: Forecast) -> str:
    ends = f"{100 * found.low:.1f} to {100 * found.high:.1f} points"
    if not (found.helps or found.little):
        return (
            f"Twice as many photos of each class would raise the accuracy by {ends} (95% interval):"
            " too wide a range to tell whether it is worth it."
        )
    return (
        "Twice as many photos of each class would likely raise the accuracy by about"
        f" {100 * found.gain:.1f} points (95% interval: {ends}), if they are of the same kind."
    )


def neighbours(study: Study) -> Section | None:
    """Accuracy, or error, by the number of neighbours."""
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
        caption=f"{measure.capitalize()} against k, over {plural(len(study.own), 'reference')},"
        + (" each held out" + ("." if study.regress else "; the band is the 95% interval.")),
        alt=f"{measure.capitalize()} against k; the best is at k = {found.best}",
        svg=lines(
            [line],
            "neighbours, k",
            unit,
            share=not study.regress,
            marked=(built, f"built: k = {k}" + (" →" if built < k else "")),
        ),
        numbers=Table(
            caption=f"The numbers: {measure} by k", columns=columns, rows=tuple(rows), folded=True
        ),
    )
    better = "a lower error" if study.regress else "a higher accuracy"
    text = f"Built with k = {k}. "
    if built < k:
        text += f"The chart ends at {most}. "
    if found.best == k:
        text += f"No other k has {better} here."
    elif found.clear:
        text += (
            f"On these references, k = {found.best} has {better}, and chance alone does not explain"
            " the difference. It was chosen on them, so the gain on other photos would be smaller."
        )
    else:
        text += f"On these references, k = {found.best} has {better}, but perhaps only by chance."
    return Section("k", "How many neighbours?", (text, chart))
