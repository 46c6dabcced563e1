"""Pictures to look at: the hardest, those with doubtful labels, and near-duplicates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pocketknn.builder.knn.validation.folds import MOST_OF_CLASS
from pocketknn.export.manifest.metadata import SHOWN
from pocketknn.export.report.blocks import Block, Case, Gallery, Heading, Section
from pocketknn.export.report.statistics.answers import Answers
from pocketknn.export.report.statistics.data_issues import (
    NEAR,
    Twins,
    asked,
    twins,
    twins_among,
)
from pocketknn.export.report.statistics.shares import Share
from pocketknn.export.report.study import Study
from pocketknn.export.report.wording import interval, of, percent, plural, whole

_OF_CLASS = 3
_MOST_CLASSES = 30
_TARGETS = 3  # shown for a neighbour
_OPEN = 3  # classes shown unfolded
_MOST = 18
_DOUBTED = (
    "The neighbours of these pictures vote for another class, more confidently than would be likely"
    " if the labels were right. Look at each, and move it if its folder is wrong."
)
_SURE = (
    "None found: the model confirms most labels, or is too unsure to doubt any. Look also at the"
    " hardest pictures for which another class has most of the vote."
)
_MEASURED = (
    " With correct labels, 8 of 30,605 photos from eight data sets were listed here by mistake,"
    " never more than 0.9% of a set; with 5% of the labels swapped, one in ten of those listed had"
    " the right label."
)
_TOO_LITTLE = "Too few photos to tell: without a reliable accuracy, no label can be doubted."
_OVERLOOKED = (
    " With few photos, or classes that look alike, wrong labels go unnoticed; so do groups of"
    " similar photos in a wrong folder."
)
_AMONG = " Copies of references among the held-out photos inflate the results on those photos."
_FLATTERS = " Copies within the references inflate the leave-one-out accuracy."


def hardest(study: Study) -> Section | None:
    """The hardest held-out photos, and the hardest references."""
    blocks = [
        block
        for where, answers in reversed(study.given.items())
        for block in (
            Heading(where.capitalize()),
            *(_classes if _judged(study, answers) else _ungrouped)(study, answers),
        )
    ]
    if not blocks:
        return None
    return Section("hardest", "The hardest pictures", tuple(blocks))


def _judged(study: Study, answers: Answers) -> bool:
    """Whether these answers can be right or wrong."""
    several = len(study.fit.references.labels) > 1
    return several and answers.by_class and (study.measured or answers is not study.own)


def _case(study: Study, answers: Answers, place: int, note: str) -> Case:
    """The query at this place of the answers, and its nearest references."""
    refs = study.fit.references
    query = study.query(answers, place, note)
    voted = bool(query.label) and (study.search or _judged(study, answers))
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
    found = answers.recalls
    shown = found[:_MOST_CLASSES]
    text = f"The {_OF_CLASS} pictures of each class with the worst vote, the weakest class first."
    if len(shown) < len(found):
        text += f" The {len(shown)} weakest of {len(found)} classes are shown."
    yield text
    for place, one in enumerate(shown):
        places = answers.hardest(_OF_CLASS, np.flatnonzero(answers.actual == one.label))
        yield Gallery(
            title=f"{answers.labels[one.label]}: {of(one.right)} correct,"
            f" {percent(one.right.value)} ({interval(one.right)})",
            cases=tuple(_case(study, answers, i, _verdict(answers, i)) for i in map(int, places)),
            folded=place >= _OPEN,
        )


def _ungrouped(study: Study, answers: Answers) -> Iterator[Block]:
    targets = study.fit.references.target_names if answers.errors.shape[1] else ()
    if targets:
        yield "The largest errors over all targets."
        places = answers.hardest(2 * _OF_CLASS)
    else:
        others = "all other references" if answers is study.own else "all references"
        yield f"The pictures farthest from {others}."
        places = np.argsort(answers.found.scores[:, 0], kind="stable")[: 2 * _OF_CLASS]
    cases = []
    for i in map(int, places):
        errors = zip(targets, answers.errors[i], strict=True)
        note = ", ".join(f"{name} {error:+.3g}" for name, error in errors)
        cases.append(_case(study, answers, i, note))
    yield Gallery(cases=tuple(cases))


def _verdict(answers: Answers, place: int) -> str:
    won = int(answers.predicted[place])
    share = whole(float(answers.votes[place, won]))
    if won == answers.actual[place]:
        return f"correct, with {share} of the vote"
    return f"mistaken for {answers.labels[won]}, with {share} of the vote"


def mislabelled(study: Study) -> Section | None:
    """Pictures whose label is more likely wrong than right."""
    own = study.own
    if own is None or not study.measured:
        return None
    if study.vague:
        return Section("mislabelled", "Likely mislabelled", (_TOO_LITTLE,))
    found = study.suspects
    if not found:
        return Section("mislabelled", "Likely mislabelled", (_SURE + _OVERLOOKED,))
    cases = []
    for one in found[:_MOST]:
        label = own.labels[own.actual[one.place]]
        note = f"vote: {one.label} {whole(one.other)}, {label} {whole(one.own)}"
        cases.append(_case(study, own, one.place, note))
    share = of(Share(count=len(found), of=len(own)))
    shown = f"; the {_MOST} most certain are shown" if len(found) > _MOST else ""
    text = f"{share} references{shown}. {_DOUBTED}{_MEASURED}{_OVERLOOKED} {study.sampled}".strip()
    return Section("mislabelled", "Likely mislabelled", (text, Gallery(cases=tuple(cases))))


def duplicates(study: Study) -> Section | None:
    """Pictures that are nearly the same."""
    if study.own is None:
        return None
    among = _AMONG if study.held_out else ""
    flatters = _FLATTERS if study.measured and not study.fit.space.refit else ""
    refs, space = study.fit.references, study.fit.space
    sampled = ""
    if (count := asked(space)) < len(refs):
        by_class = refs.labels and max(refs.counts.values()) <= MOST_OF_CLASS
        rest = ", the rest only with those of their class" if by_class else ""
        sampled = (
            f" Only {count:,} of the {len(refs):,} references, drawn at random, were compared with"
            f" all others{rest}. So there may be more pairs."
        )
    text = (
        f"Pairs whose distance is at most {whole(NEAR)} of the usual distance between a reference"
        f" and its nearest neighbour.{flatters}{among}{sampled}"
    )
    found = twins(space)
    blocks = [text, *_pairs(study, study.own, found, "Within the references")]
    if study.held_out:
        given = study.held_out.answers
        found = twins_among(given, space)
        blocks += _pairs(study, given, found, "Held-out photos and references")
    return Section("duplicates", "Near-duplicates", tuple(blocks))


def _pairs(study: Study, answers: Answers, found: Sequence[Twins], title: str) -> Iterator[Block]:
    if not found:
        yield Heading(f"{title}: none")
        return
    place = {query: i for i, query in enumerate(answers.queries.tolist())}
    cases = []
    for pair in found[:_MOST]:
        # One of a pair may be a reference that was not a query.
        own = answers is study.own
        query = study.reference(pair.one) if own else study.query(answers, place[pair.one])
        other = study.reference(pair.other)
        same = query.label == other.label or not (query.label and other.label)
        note = f"{percent(pair.distance)} of the usual distance"
        if pair.distance < 0.005:
            note = "the same"
        if not same:
            note += ", and in another class"
        other = study.reference(pair.other, note, None if same else False)
        cases.append(Case(picture=query, against=(other,)))
    shown = f", the closest {_MOST} are shown" if len(found) > _MOST else ""
    yield Heading(f"{title}: {plural(len(found), 'pair')}{shown}")
    yield Gallery(cases=tuple(cases))
