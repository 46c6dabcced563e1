"""What other choices would have given: fewer examples, another k, another threshold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pocketknn.builder.knn.evaluation import errors_by_k
from pocketknn.export.report import charts
from pocketknn.export.report.blocks import Chart, Section, Table, Text
from pocketknn.export.report.charts import Line
from pocketknn.export.report.data import Study
from pocketknn.export.report.statistics.intervals import wilson
from pocketknn.export.report.statistics.learning_curve import LearningCurve, learning_curve
from pocketknn.export.report.statistics.rejection_curves import ErrorCurves, below, error_curves
from pocketknn.export.report.wording import interval, percent, points

_WITHIN = 0.02  # what accuracy may be lost and still count as enough
_FEW = 10  # examples that are few, whatever the curve says
_RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
_SHOWN_K = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50)


def examples(study: Study) -> Section | None:
    """The learning curve: what is the minimum number?"""
    curve = learning_curve(study.fit, study.manifest["seed"])
    if curve is None or len(curve.sizes) < 2:
        return None
    low, high = curve.values.min(axis=0), curve.values.max(axis=0)
    what = "examples" if curve.regress else "examples per class"
    measure = "error" if curve.regress else "accuracy"

    def shown(value: float) -> str:
        return f"{value:.3f}" if curve.regress else percent(value)

    rows = tuple(
        (str(size), shown(mean), shown(least), shown(most))
        for size, mean, least, most in zip(curve.sizes, curve.mean, low, high, strict=True)
    )
    caption = f"{measure.capitalize()} against the number of {what}"
    chart = Chart(
        caption=f"{caption}: the mean of {len(curve.values)} seeded draws, and the band from the"
        f" worst to the best of them. {curve.queries:,} references were asked for, each left out.",
        alt=f"{caption}: from {shown(curve.mean[0])} with {curve.sizes[0]}"
        f" to {shown(curve.mean[-1])} with {curve.sizes[-1]}",
        svg=charts.lines(
            [Line("", curve.sizes, curve.mean, low, high)],
            what,
            "error, in standard deviations" if curve.regress else "accuracy",
            share=not curve.regress,
            logarithmic=True,
        ),
        numbers=Table(
            caption=f"The numbers: {measure} by {what}",
            columns=(what, "mean", "least", "most"),
            rows=rows,
            folded=True,
        ),
    )
    return Section(
        anchor="examples",
        title="How many examples are enough?",
        blocks=(*(Text(text=text) for text in _enough(study, curve)), chart),
    )


def neighbours(study: Study) -> Section | None:
    """K against accuracy."""
    if study.own is None or not (study.regress or len(study.fit.references.labels) > 1):
        return None
    fit, of = study.fit, len(study.own)
    errors = errors_by_k(fit.spec, fit.space, fit.spec.head or "")
    ks = np.arange(1, len(errors) + 1)
    if study.regress:
        scale = np.maximum(fit.references.targets.var(axis=0), 1e-30)
        values = np.sqrt((errors / scale).mean(axis=1))
        line = Line("", ks, values)
        best = int(ks[np.argmin(np.round(values, 12))])
        measure, unit = "error", "error, in standard deviations"
        rows: list[tuple[str, ...]] = [
            (str(k), f"{values[k - 1]:.3f}") for k in _some(len(ks), fit.k)
        ]
        columns: tuple[str, ...] = ("k", unit)
    else:
        values = 1 - errors[:, 0]
        low, high = wilson(values, of)
        line = Line("", ks, values, low, high)
        best = int(ks[np.argmax(np.round(values, 12))])
        measure, unit = "accuracy", "accuracy"
        rows = [
            (str(k), percent(values[k - 1]), interval((low[k - 1], high[k - 1])))
            for k in _some(len(ks), fit.k)
        ]
        columns = ("k", "accuracy", "95% interval")
    own = min(fit.k, len(ks))
    said = f"Built with k = {fit.k}. Here k = {best} has the best {measure}"
    said += " too." if best == own else "; small differences are chance."
    chart = Chart(
        caption=f"{measure.capitalize()} against k, over {of:,} references, each left out"
        + ("." if study.regress else "; the band is the 95% interval."),
        alt=f"{measure.capitalize()} against k; the best is at k = {best}",
        svg=charts.lines(
            [line],
            "neighbours, k",
            unit,
            share=not study.regress,
            marked=(own, f"built: k = {fit.k}"),
        ),
        numbers=Table(
            caption=f"The numbers: {measure} by k", columns=columns, rows=tuple(rows), folded=True
        ),
    )
    return Section(anchor="k", title="How many neighbours?", blocks=(Text(text=said), chart))


def unknown(study: Study) -> Section | None:
    """The threshold of unknown, and both errors of all thresholds."""
    curves = error_curves(study.fit, study.strangers)
    if curves is None:
        return None
    threshold = study.fit.threshold
    thresholds = curves.thresholds()
    given = [Line("known, wrongly rejected", thresholds, curves.rejected(thresholds))]
    if len(curves.left_out):
        accepted = 1 - below(curves.left_out, thresholds)
        given.append(Line("of a class left out, wrongly accepted", thresholds, accepted))
    if len(curves.strangers):
        accepted = 1 - below(curves.strangers, thresholds)
        given.append(Line("strangers, wrongly accepted", thresholds, accepted))
    chart = Chart(
        caption="The two errors of every threshold: the higher it is, the more known pictures are"
        " rejected, and the fewer strange ones are accepted.",
        alt="Two curves that cross: false rejections rise with the threshold, false acceptances"
        " fall; the table has their values",
        svg=charts.lines(
            given,
            "threshold: least score of the nearest reference",
            "share of pictures",
            marked=None if threshold is None else (threshold, f"built: {threshold:.4g}"),
        ),
        numbers=_at_rates(curves, threshold),
    )
    return Section(
        anchor="unknown",
        title="When is a picture unknown?",
        blocks=(*(Text(text=text) for text in _rejection(study)), chart),
    )


def _enough(study: Study, curve: LearningCurve) -> Iterator[str]:
    what = "examples" if curve.regress else "examples per class"
    last = int(curve.sizes[-1])
    half = int(np.searchsorted(curve.sizes, last / 2, side="right")) - 1
    if not curve.regress:
        if (least := curve.enough(_WITHIN)) < last:
            examples = what if least > 1 else what.replace("examples", "example")
            yield (
                f"With {least} {examples} or more the mean accuracy stays within 2 points of the"
                f" {percent(curve.mean[-1])} that {last} reach."
            )
        if half >= 0:
            gain = curve.mean[-1] - curve.mean[half]
            advice = (
                "more photos should still help" if gain > _WITHIN else "more of them bring little"
            )
            yield f"From {curve.sizes[half]} to {last} it changed by {points(gain)}: {advice}."
    counts = study.manifest["references"]["per_label"].values()
    if not curve.regress and min(counts) < curve.largest:
        yield (
            f"The classes have {min(counts)} to {max(counts)} examples; from where a class has no"
            " more, all of it is used."
        )
    if not curve.regress and last < curve.largest - 1:
        yield f"The curve ends at {last}, to bound its time; the build holds more."
    if last < _FEW:
        yield "These are few examples, so the curve is rough."


def _some(most: int, own: int) -> list[int]:
    return sorted({k for k in (*_SHOWN_K, own) if k <= most})


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
    quantiles = np.quantile(curves.known, _RATES)
    limits = sorted({*map(float, quantiles), *([threshold] if threshold is not None else [])})
    rows = []
    for limit in limits:
        at = np.array([limit])
        row = [f"{limit:.4g}" + (" (built)" if limit == threshold else "")]
        row.append(percent(float(curves.rejected(at)[0])))
        for scores in (curves.left_out, curves.strangers):
            if len(scores):
                row.append(percent(float(1 - below(scores, at)[0])))
        rows.append(tuple(row))
    columns = ["threshold", "known, rejected"]
    columns += ["left-out class, accepted"] if len(curves.left_out) else []
    columns += ["strangers, accepted"] if len(curves.strangers) else []
    return Table(
        caption="The numbers: both errors by threshold",
        columns=tuple(columns),
        rows=tuple(rows),
        folded=True,
    )
