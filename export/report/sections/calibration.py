"""Whether an answer of 90 % is right nine times in ten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pocketknn.builder.knn.validation.calibration import calibration as measured
from pocketknn.builder.spec import UNKNOWN
from pocketknn.export.report.blocks import Block, Chart, Section, Table
from pocketknn.export.report.calibration_words import calibration_words, worst_bin
from pocketknn.export.report.html.charts import Line, lines
from pocketknn.export.report.statistics.answers import NO_CLASS, Answers
from pocketknn.export.report.study import Study
from pocketknn.export.report.wording import percent, plural, whole

_CURVE = 3  # points that show a shape


def calibration(study: Study) -> Section | None:
    """Confidence against the truth, of the references and of held-out photos."""
    found = {
        "references, each left out": study.manifest["references"].get("calibration"),
        "held-out photos": _held_out(study.held_out.answers) if study.held_out else None,
    }
    blocks = [block for where, one in found.items() if one for block in _told(where, one)]
    if not blocks:
        return None
    return Section("calibration", "Is it as sure as it should be?", tuple(blocks))


def _held_out(given: Answers) -> Mapping[str, Any] | None:
    """Of photos of known classes that were not called unknown."""
    if not given.labels:
        return None
    named = np.array([label != UNKNOWN for label in given.labels])[given.predicted]
    asked = np.flatnonzero((given.actual != NO_CLASS) & named)
    right = given.predicted[asked] == given.actual[asked]
    found = measured(given.votes[asked].max(axis=1, initial=0.0), right)
    return asdict(found) if found else None


def _told(where: str, found: Mapping[str, Any]) -> Iterator[Block]:
    bins: Sequence[Mapping[str, Any]] = found["bins"]
    answers = sum(one["answers"] for one in bins)
    worst = worst_bin(found)
    verdict = f": {calibration_words(worst)}" if worst else ""
    yield (
        f"{where[0].upper()}{where[1:]}: confidence is off by {percent(found['error'])}"
        f" (root mean square over {plural(answers, 'answer')}, less what chance adds){verdict}."
    )
    if len(bins) < _CURVE:
        return
    columns = {name: np.array([one[name] for one in bins]) for name in bins[0]}
    confidence = columns["confidence"]
    perfect = Line(
        "right as often as it says, and chance",
        *(confidence, confidence),
        *(columns["low"], columns["high"]),
    )
    yield Chart(
        caption="How often answers were right, against how sure they were; the band holds what"
        " chance does to 95 of 100 points of a model that is right as often as it says.",
        alt=f"Share of right answers by confidence, of {where}; the table has the numbers",
        svg=lines(
            [Line(where, confidence, columns["right"]), perfect],
            "confidence: share of the vote",
            "right",
            shares_along=True,
        ),
        numbers=Table(
            caption="The numbers, by confidence",
            columns=("confidence", "right", "by chance", "answers"),
            rows=tuple(
                (
                    percent(one["confidence"]),
                    percent(one["right"]),
                    f"{whole(one['low'])} to {whole(one['high'])}",
                    f"{one['answers']:,}",
                )
                for one in bins
            ),
            folded=True,
        ),
    )
