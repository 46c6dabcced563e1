"""What a score means, and when a picture is unknown."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pocketknn.export.report.blocks import Chart, Section, Table
from pocketknn.export.report.html.charts import Line, lines
from pocketknn.export.report.statistics.scores import ErrorCurves, below, error_curves, score_pairs
from pocketknn.export.report.study import Study
from pocketknn.export.report.unknown_words import unknown_words
from pocketknn.export.report.wording import percent, sentence

_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the pairs
_RATES = (0.01, 0.02, 0.05, 0.1, 0.2)  # of false rejections
_BOTH = (
    "Both errors at every threshold: the higher it is, the more known pictures are rejected, and"
    " the fewer strange ones are accepted."
)
_ONE = (
    "The higher the threshold, the more known pictures are rejected. How many strange ones are"
    " accepted was not measured: that needs --strangers PHOTOS, photos of other things."
)
_LEARNED = (
    " These directions belong to this build: the score does not measure how alike two pictures"
    " look, and cannot be compared with scores of another build."
)


def scores(study: Study) -> Section | None:
    """The scores of pairs of references."""
    compared = study.own and study.fit.references.labels and not study.regress
    pairs = score_pairs(study.fit) if compared else None
    if pairs is None:
        return None
    names = ("one class", "different classes")
    middles, *shares = pairs.histograms()
    chart = Chart(
        caption="Scores of pairs of references: the less the two curves overlap, the better the"
        " classes are separated.",
        alt="Two distributions of scores, for pairs in one class and in different classes; the"
        " table has their quantiles",
        svg=lines(
            [
                Line(f"pairs of {name}", middles, values)
                for name, values in zip(names, shares, strict=True)
            ],
            "score",
            "share of the pairs",
        ),
        numbers=Table(
            caption="The numbers: quantiles of the scores",
            columns=("pairs of", *(f"{share:.0%}" for share in _SHARES)),
            rows=tuple(
                (name, *(f"{value:.3f}" for value in np.quantile(scores, _SHARES)))
                for name, scores in zip(names, pairs, strict=True)
            ),
            words=(0,),
            folded=True,
        ),
    )
    score = study.manifest["outputs"]["scores"]["is"].removesuffix(", descending")
    learned = _LEARNED if study.fit.scores_of == "classes" else ""
    meaning = f"A score is the {score}.{learned}"
    return Section("scores", "What a score means", (meaning, chart))


def unknown(study: Study) -> Section | None:
    """The trade-off between rejecting known pictures and accepting strange ones."""
    if study.fit.strangers.any():  # the curves would count these references as known
        return Section("unknown", "When is a picture unknown?", tuple(_rejection(study)))
    curves, threshold = error_curves(study.fit, study.strangers), study.fit.threshold
    if curves is None:
        return None
    if len(study.fit.references.labels) > 1 and not study.measured:
        # The nearest other reference of a known picture is of another class.
        return Section("unknown", "When is a picture unknown?", tuple(_rejection(study)))
    places = curves.thresholds
    accepted = {"of a held-out class": curves.left_out, "strangers": curves.strangers}
    drawn = [Line("known, wrongly rejected", places, curves.rejected(places))]
    drawn += [
        Line(f"{who}, wrongly accepted", places, 1 - below(scores, places))
        for who, scores in accepted.items()
        if len(scores)
    ]
    chart = Chart(
        caption=_BOTH if len(drawn) > 1 else _ONE,
        alt="False rejections rise with the threshold"
        + (", false acceptances fall" if len(drawn) > 1 else "")
        + "; the table has the values",
        svg=lines(
            drawn,
            "threshold: minimum score of the nearest reference",
            "share of pictures",
            marked=None if threshold is None else (threshold, f"built: {threshold:.4g}"),
        ),
        numbers=_at_rates(curves, threshold),
    )
    return Section("unknown", "When is a picture unknown?", (*_rejection(study), chart))


def _rejection(study: Study) -> Iterator[str]:
    reject = study.manifest["reject"]
    if reject:
        threshold = f"{reject['threshold']:.4g}"
        yield f"A picture is unknown if its nearest reference scores below {threshold}."
    elif study.manifest.get("strangers"):
        yield (
            "Unknown is one of the classes: strange pictures are its references. The accuracy"
            " covers the other classes."
        )
    else:
        drawn = study.measured or len(study.fit.references.labels) == 1
        curves = ", or with --reject and a threshold from the curves" if drawn else ""
        yield (
            "This build has no “unknown”: it assigns a class to any picture, however strange."
            f" Build with --reject auto{curves}; add --strangers PHOTOS, of other things, to"
            " measure it."
        )
    yield from (f"{sentence(line)}." for line in unknown_words(study.manifest))
    if reject and reject["left_out_classes"] is not None:
        how = (
            "the projection was learned again without it"
            if study.manifest["projection"]
            else "the threshold was chosen again without it"
        )
        yield f"For each held-out class, {how}."


def _at_rates(curves: ErrorCurves, threshold: float | None) -> Table:
    accepted = {
        f"{who}, accepted": scores
        for who, scores in (("left-out class", curves.left_out), ("strangers", curves.strangers))
        if len(scores)
    }
    built = [] if threshold is None else [threshold]
    limits = np.unique([*np.quantile(curves.known, _RATES), *built])
    shares = [curves.rejected(limits), *(1 - below(scores, limits) for scores in accepted.values())]
    rows = tuple(
        (f"{limit:.4g}" + (" (built)" if limit == threshold else ""), *map(percent, values))
        for limit, *values in zip(limits, *shares, strict=True)
    )
    what = "both errors" if accepted else "known pictures rejected"
    return Table(
        caption=f"The numbers: {what} by threshold",
        columns=("threshold", "known, rejected", *accepted),
        rows=rows,
        folded=True,
    )
