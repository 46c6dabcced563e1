"""Pictures to look at again: the likely mislabelled ones, and those that are there twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pocketknn.export.report.blocks import Block, Heading, Section
from pocketknn.export.report.pictures import Case, Gallery
from pocketknn.export.report.statistics.data_issues import NEAR
from pocketknn.export.report.statistics.intervals import Share
from pocketknn.export.report.wording import of, percent, plural, whole

from .hardest import case

if TYPE_CHECKING:
    from pocketknn.export.report.statistics.answers import Answers
    from pocketknn.export.report.statistics.data_issues import Twins
    from pocketknn.export.report.study import Study

_MOST = 18
_DOUBTED = (
    "Here the neighbours vote for another class, and at least as clearly as they do for that"
    " class's own pictures (confident learning). Some are in the wrong folder; where the backbone"
    " is weak, most are merely hard."
)
_SURE = "No picture: wherever the neighbours name another class, they are unsure of it."
_FLATTERS = " Copies within the references flatter the leave-one-out accuracy."


def mislabelled(study: Study) -> Section | None:
    """Pictures whose neighbours are surer of another class than that class is of its own."""
    own, found = study.own, study.suspects
    if own is None or len(own.labels) < 2:
        return None
    if not found:
        return Section("mislabelled", "Likely mislabelled", (_SURE,))
    cases = []
    for one in found[:_MOST]:
        label = own.labels[own.actual[one.place]]
        note = f"vote: {one.label} {whole(one.other)}, {label} {whole(one.own)}"
        cases.append(case(study, own, one.place, note))
    share = of(Share(count=len(found), of=len(own)))
    shown = f"; the {_MOST} clearest are shown" if len(found) > _MOST else ""
    said = f"{_DOUBTED} {share} references{shown}. {study.sampled}".strip()
    return Section("mislabelled", "Likely mislabelled", (said, Gallery(cases=tuple(cases))))


def duplicates(study: Study) -> Section | None:
    """Pictures that are nearly the same."""
    if study.own is None:
        return None
    said = (
        f"Pairs whose distance is at most {whole(NEAR)} of what usually lies between a reference"
        f" and its nearest other one.{'' if study.fit.space.refit else _FLATTERS}"
        f" Copies across to the held-out photos flatter theirs. {study.sampled}"
    )
    blocks = [said.rstrip(), *_pairs(study, study.own, study.twins, "Within the references")]
    if study.held_out:
        given, where = study.held_out.answers, "Held-out photos and references"
        blocks += _pairs(study, given, study.twins_held_out, where)
    return Section("duplicates", "Near-duplicates", tuple(blocks))


def _pairs(study: Study, answers: Answers, found: Sequence[Twins], title: str) -> Iterator[Block]:
    if not found:
        yield Heading(f"{title}: none")
        return
    place = {query: i for i, query in enumerate(answers.queries.tolist())}
    cases = []
    for pair in found[:_MOST]:
        query, other = study.query(answers, place[pair.one]), study.reference(pair.other)
        same = query.label == other.label or not (query.label and other.label)
        note = f"{percent(pair.distance)} of the usual distance"
        if pair.distance < 0.005:
            note = "the same"
        if not same:
            note += ", and in another class"
        other = study.reference(pair.other, note, None if same else False)
        cases.append(Case(picture=query, against=(other,)))
    shown = f", the nearest {_MOST} are shown" if len(found) > _MOST else ""
    yield Heading(f"{title}: {plural(len(found), 'pair')}{shown}")
    yield Gallery(cases=tuple(cases))
