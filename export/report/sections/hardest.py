"""For each class the pictures with the worst answers, and the neighbours that gave them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.export.manifest.metadata import SHOWN
from pocketknn.export.report.blocks import Block, Heading, Section
from pocketknn.export.report.pictures import Case, Gallery
from pocketknn.export.report.statistics.confusion import recalls
from pocketknn.export.report.wording import interval, of, percent, whole

if TYPE_CHECKING:
    from pocketknn.export.report.statistics.answers import Answers
    from pocketknn.export.report.study import Study

_OF_CLASS = 3
_MOST_CLASSES = 30
_TARGETS = 3  # of a neighbour
_OPEN = 3  # classes that are shown at once; the others are opened by whoever wants to


def section(study: Study) -> Section | None:
    """The hardest held-out photos, and the hardest references."""
    blocks = [
        block
        for where, answers in reversed(study.given.items())
        for block in (
            Heading(where.capitalize()),
            *(_classes if answers.by_class else _ungrouped)(study, answers),
        )
    ]
    if not blocks:
        return None
    return Section("hardest", "The hardest pictures", tuple(blocks))


def case(study: Study, answers: Answers, place: int, note: str) -> Case:
    """The picture at this place of the answers, and its nearest references.

    Args:
        study: what the page is about.
        answers: of the references, or of the held-out photos.
        place: which of them.
        note: what is said of the picture.
    """
    refs = study.fit.references
    query = study.query(answers, place, note)
    voted = bool(refs.labels and query.label and not study.regress)
    against = []
    scores, indices = (column[place, :SHOWN] for column in answers.found)
    for score, row in zip(scores.tolist(), indices.tolist(), strict=True):
        right = refs.label_of(row) == query.label if voted else None
        note = f"{score:.3f}"
        if study.regress:
            values = ", ".join(f"{value:.4g}" for value in refs.targets[row, :_TARGETS])
            note = f"{values} (score {note})"
        against.append(study.reference(row, note, right))
    return Case(picture=query, against=tuple(against))


def _classes(study: Study, answers: Answers) -> Iterator[Block]:
    found = recalls(answers.confusion)
    shown = found[:_MOST_CLASSES]
    said = f"Of each class the {_OF_CLASS} pictures with the worst vote, the weakest class first."
    if len(shown) < len(found):
        said += f" The {len(shown)} weakest of {len(found)} classes are shown."
    yield said
    for place, one in enumerate(shown):
        places = answers.hardest(_OF_CLASS, np.flatnonzero(answers.actual == one.label))
        yield Gallery(
            title=f"{answers.labels[one.label]}: {of(one.right)} right,"
            f" {percent(one.right.value)} ({interval(one.right)})",
            cases=tuple(case(study, answers, i, _verdict(answers, i)) for i in map(int, places)),
            folded=place >= _OPEN,
        )


def _ungrouped(study: Study, answers: Answers) -> Iterator[Block]:
    targets = study.fit.references.target_names if answers.errors.shape[1] else ()
    if targets:
        yield "The largest errors, over all targets."
    else:
        yield "The pictures that are farthest from all references."
    cases = []
    for i in map(int, answers.hardest(2 * _OF_CLASS)):
        errors = zip(targets, answers.errors[i], strict=True)
        note = ", ".join(f"{name} {error:+.3g}" for name, error in errors)
        cases.append(case(study, answers, i, note))
    yield Gallery(cases=tuple(cases))


def _verdict(answers: Answers, place: int) -> str:
    won = int(answers.predicted[place])
    share = whole(float(answers.votes[place, won]))
    if won == answers.actual[place]:
        return f"right, with {share} of the vote"
    return f"taken for {answers.labels[won]}, with {share} of the vote"
