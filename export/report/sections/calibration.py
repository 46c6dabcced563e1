"""Whether answers with 90 % confidence are right nine times in ten."""

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
from pocketknn.export.report.wording import percent, plural, sentence, whole

_CURVE = 3  # points that show a shape


def calibration(study: Study) -> Section | None:
    """Confidence compared with accuracy, for the references and for held-out photos."""
    own = study.manifest["references"].get("calibration") if study.measured else None
    found = {
        "references, each held out": own,
        "held-out photos": _held_out(study.held_out.answers) if study.held_out else None,
    }
    blocks = [block for where, one in found.items() if one for block in _blocks(where, one)]
    if not blocks:
        return None
    return Section("calibration", "Is its confidence justified?", tuple(blocks))


def _held_out(given: Answers) -> Mapping[str, Any] | None:
    """The calibration on photos of known classes that were not called unknown."""
    if not given.labels:
        return None
    named = np.array([label != UNKNOWN for label in given.labels])[given.predicted]
    rows = np.flatnonzero((given.actual != NO_CLASS) & named)
    right = given.predicted[rows] == given.actual[rows]
    found = measured(given.votes[rows].max(axis=1, initial=0.0), right)
    return asdict(found) if found else None


def _blocks(where: str, found: Mapping[str, Any]) -> Iterator[Block]:
    bins: Sequence[Mapping[str, Any]] = found["bins"]
    answers = sum(one["answers"] for one in bins)
    worst = worst_bin(found)
    verdict = f": {calibration_words(worst)}" if worst else ""
    off = f"confidence and accuracy agree within chance over {plural(answers, 'answer')}"
    if found["error"]:
        off = (
            f"confidence is off by {percent(found['error'])} (root mean square over"
            f" {plural(answers, 'answer')}, corrected for chance){verdict}"
        )
    yield f"{sentence(where)}: {off}."
    if len(bins) < _CURVE:
        return
    columns = {name: np.array([one[name] for one in bins]) for name in bins[0]}
    confidence = columns["confidence"]
    perfect = Line(
        "perfect calibration, with its 95% band",
        *(confidence, confidence),
        *(columns["low"], columns["high"]),
    )
    yield Chart(
        caption="Accuracy against confidence; with perfect calibration, 95 of 100 points would lie"
        " inside the band.",
        alt=f"Share of correct answers by confidence, {where}; the table has the numbers",
        svg=lines(
            [Line(where, confidence, columns["right"]), perfect],
            "confidence: share of the vote",
            "correct",
            shares_along=True,
        ),
        numbers=Table(
            caption="The numbers, by confidence",
            columns=("confidence", "correct", "95% band", "answers"),
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
