"""What a score means: of pairs of pictures of one class, and of pairs of different classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pocketknn.export.report import charts
from pocketknn.export.report.blocks import Chart, Section, Table
from pocketknn.export.report.charts import Line

if TYPE_CHECKING:
    from pocketknn.export.report.study import Study

_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LEARNED = (
    " These directions belong to this build: the score is no measure of how alike two pictures"
    " look, and cannot be compared with the scores of another build."
)


def section(study: Study) -> Section | None:
    """How pairs of references score."""
    if study.pairs is None:
        return None
    names = ("one class", "different classes")
    middles, *shares = study.pairs.histograms()
    chart = Chart(
        caption="How pairs of references score: the less the two overlap, the better the classes"
        " are told apart.",
        alt="Two distributions of scores, of pairs of one class and of different classes; the"
        " table has their quantiles",
        svg=charts.lines(
            [
                Line(f"pairs of {name}", middles, values)
                for name, values in zip(names, shares, strict=True)
            ],
            "score",
            "share of the pairs",
        ),
        numbers=Table(
            caption="The numbers: scores that so many of the pairs lie below",
            columns=("pairs of", *(f"{share:.0%}" for share in _SHARES)),
            rows=tuple(
                (name, *(f"{value:.3f}" for value in np.quantile(scores, _SHARES)))
                for name, scores in zip(names, study.pairs, strict=True)
            ),
            words=(0,),
            folded=True,
        ),
    )
    score = study.manifest["outputs"]["scores"]["is"].removesuffix(", descending")
    learned = _LEARNED if study.fit.scores_of == "classes" else ""
    meaning = f"A score is the {score}.{learned}"
    return Section("scores", "What a score means", (meaning, chart))
