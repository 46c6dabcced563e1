"""Where scores lie: of pairs of pictures of one class, and of pairs of different classes."""

from __future__ import annotations

import numpy as np

from pocketknn.builder.knn.exact import Floats
from pocketknn.builder.knn.resolve import Fit
from pocketknn.export.report import charts
from pocketknn.export.report.blocks import Chart, Section, Table, Text
from pocketknn.export.report.charts import Line
from pocketknn.export.report.data import Study

_MOST_QUERIES = 500
_BINS = 40
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LEARNED = (
    " These directions belong to this build: the score is no measure of how alike two pictures"
    " look, and cannot be compared with the scores of another build."
)


def scores_of_pairs(fit: Fit) -> tuple[Floats, Floats]:
    """Scores of pairs of references: of one class, and of different ones.

    Each is asked in a space that was found without it. Of very many references 500 are drawn.
    """
    space, ids = fit.space, fit.references.label_ids
    queries = space.others.queries
    if len(queries) > _MOST_QUERIES:
        draw = np.random.default_rng(space.seed).choice(queries, _MOST_QUERIES, replace=False)
        queries = np.sort(draw)
    scores = space.scores_of_others(queries)
    same, there = ids[queries][:, None] == ids, np.isfinite(scores)
    return scores[same & there], scores[~same & there]


def pairs(study: Study) -> Section | None:
    """What a score means here; None without classes to compare."""
    fit = study.fit
    if not study.labelled:
        return None
    same, different = scores_of_pairs(fit)
    if not len(same) or not len(different):
        return None
    ends = np.quantile(np.concatenate([same, different]), (0.001, 0.999))
    edges = np.linspace(ends[0], ends[1], _BINS + 1)
    middles = (edges[:-1] + edges[1:]) / 2

    def line(name: str, scores: Floats) -> Line:
        counts, _ = np.histogram(np.clip(scores, *ends), edges)
        return Line(name, middles, counts / len(scores))

    said = {"one class": same, "different classes": different}
    chart = Chart(
        caption="How pairs of references score: the less the two overlap, the better the classes"
        " are told apart.",
        alt="Two distributions of scores, of pairs of one class and of different classes; the"
        " table has their quantiles",
        svg=charts.lines(
            [line(f"pairs of {name}", scores) for name, scores in said.items()],
            "score",
            "share of the pairs",
        ),
        numbers=Table(
            caption="The numbers: scores that so many of the pairs lie below",
            columns=("pairs of", *(f"{share:.0%}" for share in _SHARES)),
            rows=tuple(
                (name, *(f"{value:.3f}" for value in np.quantile(scores, _SHARES)))
                for name, scores in said.items()
            ),
            words=(0,),
            folded=True,
        ),
    )
    score = study.manifest["outputs"]["scores"]["is"].removesuffix(", descending")
    learned = _LEARNED if fit.scores_of == "classes" else ""
    meaning = Text(text=f"A score is the {score}.{learned}")
    return Section(anchor="scores", title="What a score means", blocks=(meaning, chart))
