"""Pictures to look at: the hardest, the likely mislabelled, and those that are there twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pocketknn.export.manifest.metadata import SHOWN
from pocketknn.export.report.blocks import Block, Case, Gallery, Section, Text
from pocketknn.export.report.data import Study
from pocketknn.export.report.statistics.data_issues import NEAR, Twins, suspects, twins, twins_among
from pocketknn.export.report.statistics.intervals import Share
from pocketknn.export.report.statistics.predictions import Answers
from pocketknn.export.report.wording import interval, of, percent, plural, whole

_OF_CLASS = 3
_TARGETS = 3  # of a neighbour
_MOST_CLASSES = 30
_MOST = 18
_OPEN = 3  # classes that are shown at once; the others are opened by whoever wants to


def hardest(study: Study) -> Section | None:
    """For each class the pictures with the worst answers, and the neighbours that gave them."""
    blocks: list[Block] = []
    if study.held_out:
        blocks += _hardest_of(study, study.held_out.answers, "Held-out photos")
    if study.own is not None:
        blocks += _hardest_of(study, study.own, "References, each left out")
    if not blocks:
        return None
    return Section(anchor="hardest", title="The hardest pictures", blocks=tuple(blocks))


def mislabelled(study: Study) -> Section | None:
    """Pictures whose neighbours are surer of another class than that class is of its own."""
    own = study.own
    if own is None or len(own.labels) < 2:
        return None
    found = suspects(own)
    explained = (
        "Here the neighbours vote for another class, and at least as clearly as they do for that"
        " class's own pictures (confident learning). Some are in the wrong folder; where the"
        " backbone is weak, most are merely hard."
    )
    if not found:
        text = "No picture: wherever the neighbours name another class, they are unsure of it."
        return Section(anchor="mislabelled", title="Likely mislabelled", blocks=(Text(text=text),))
    cases = []
    for one in found[:_MOST]:
        own_label = own.labels[own.actual[one.place]]
        note = f"vote: {one.label} {whole(one.other)}, {own_label} {whole(one.own)}"
        cases.append(_case(study, own, one.place, note))
    share = Share(count=len(found), of=len(own))
    shown = f"; the {_MOST} clearest are shown" if len(found) > _MOST else ""
    return Section(
        anchor="mislabelled",
        title="Likely mislabelled",
        blocks=(
            Text(text=f"{explained} {of(share)} references{shown}. {study.sampled}".strip()),
            Gallery(cases=tuple(cases)),
        ),
    )


def duplicates(study: Study) -> Section | None:
    """Pictures that are nearly the same."""
    if study.own is None:
        return None
    space = study.fit.space
    blocks: list[Block] = [
        Text(
            text=f"Pairs whose distance is at most {whole(NEAR)} of what usually lies between a"
            " reference and its nearest other one."
            + (
                ""
                if space.refit
                else " Copies within the references flatter the leave-one-out accuracy."
            )
            + f" Copies across to the held-out photos flatter theirs. {study.sampled}".rstrip()
        )
    ]
    pairs = twins(space)
    blocks += _pairs(study, study.own, pairs, "Within the references")
    if study.held_out:
        across = twins_among(study.held_out.answers, space)
        blocks += _pairs(study, study.held_out.answers, across, "Held-out photos and references")
    return Section(anchor="duplicates", title="Near-duplicates", blocks=tuple(blocks))


def _hardest_of(study: Study, answers: Answers, where: str) -> Iterator[Block]:
    if not answers.labels or not (answers.actual >= 0).any():
        yield from _ungrouped(study, answers, where)
        return
    classes = np.unique(answers.actual[answers.actual >= 0])
    right = answers.predicted == answers.actual
    shares = {
        int(c): Share(
            count=int(right[answers.actual == c].sum()), of=int((answers.actual == c).sum())
        )
        for c in classes
    }
    order = sorted(shares, key=lambda c: (shares[c].value, c))
    shown = order[:_MOST_CLASSES]
    said = f"Of each class the {_OF_CLASS} pictures with the worst vote, the weakest class first."
    if len(shown) < len(order):
        said += f" The {len(shown)} weakest of {len(order)} classes are shown."
    yield Text(title=where, text=said)
    for place, c in enumerate(shown):
        share = shares[c]
        places = answers.hardest(_OF_CLASS, np.flatnonzero(answers.actual == c))
        yield Gallery(
            title=f"{answers.labels[c]}: {of(share)} right, {percent(share.value)}"
            f" ({interval(share.interval)})",
            cases=tuple(_case(study, answers, int(i), _verdict(answers, int(i))) for i in places),
            folded=place >= _OPEN,
        )


def _ungrouped(study: Study, answers: Answers, where: str) -> Iterator[Block]:
    targets = study.fit.references.target_names
    if answers.errors.shape[1]:
        yield Text(title=where, text="The largest errors, over all targets.")
    else:
        yield Text(title=where, text="The pictures that are farthest from all references.")
    cases = []
    for i in answers.hardest(2 * _OF_CLASS):
        note = ""
        if answers.errors.shape[1]:
            errors = zip(targets, answers.errors[i], strict=True)
            note = ", ".join(f"{name} {error:+.3g}" for name, error in errors)
        cases.append(_case(study, answers, int(i), note))
    yield Gallery(cases=tuple(cases))


def _verdict(answers: Answers, place: int) -> str:
    won = int(answers.predicted[place])
    share = whole(float(answers.votes[place, won]))
    if won == answers.actual[place]:
        return f"right, with {share} of the vote"
    return f"taken for {answers.labels[won]}, with {share} of the vote"


def _case(study: Study, answers: Answers, place: int, note: str) -> Case:
    refs = study.fit.references
    asked = study.asked(answers, place, note)
    against = []
    found = answers.found
    near = zip(found.scores[place, :SHOWN], found.indices[place, :SHOWN], strict=True)
    for score, row in near:
        voted = refs.labels and asked.label and not study.regress
        right = refs.label_of(int(row)) == asked.label if voted else None
        note = f"{score:.3f}"
        if study.regress:
            values = ", ".join(f"{value:.4g}" for value in refs.targets[row, :_TARGETS])
            note = f"{values} (score {note})"
        against.append(study.reference(int(row), note, right))
    return Case(picture=asked, against=tuple(against))


def _pairs(study: Study, answers: Answers, found: list[Twins], title: str) -> Iterator[Block]:
    if not found:
        yield Text(title=f"{title}: none")
        return
    place = {int(query): i for i, query in enumerate(answers.queries)}
    cases = []
    for pair in found[:_MOST]:
        asked = study.asked(answers, place[pair.one])
        other = study.reference(pair.other)
        same = asked.label == other.label or not (asked.label and other.label)
        distance = (
            "the same"
            if pair.distance < 0.005
            else f"{percent(pair.distance)} of the usual distance"
        )
        note = distance if same else f"{distance}, and in another class"
        other = study.reference(pair.other, note, None if same else False)
        cases.append(Case(picture=asked, against=(other,)))
    shown = f", the nearest {_MOST} are shown" if len(found) > _MOST else ""
    yield Text(title=f"{title}: {plural(len(found), 'pair')}{shown}")
    yield Gallery(cases=tuple(cases))
