"""A map of the references, and which classes are close, in numbers."""

from __future__ import annotations

import numpy as np

from pocketknn.builder.choices.neighbors import Ints
from pocketknn.export.report.blocks import Block, Dot, Plane, Section, Table
from pocketknn.export.report.statistics.embedding_map import TSNE, roomy
from pocketknn.export.report.statistics.shares import confusion, recalls
from pocketknn.export.report.study import Study
from pocketknn.export.report.wording import percent

_MOST_COLOURS = 8
_CELLS = 16  # of the map, each way: thumbnails hardly overlap
_MOST_CLASSES = 40
_LEARNED = "its directions were learned from these very photos"
_DRAWN = "t-SNE draws groups further apart than they are"
_TRUST = (
    " Use it to find odd pictures; how well classes are separated is in {}the table below the map."
)


def nearby(study: Study) -> Section | None:
    """The map, and the classes of each class's nearest neighbours."""
    drawn, refs = study.map, study.fit.references
    if drawn is None:
        return None
    groups, group = _groups(study)
    table = _next_to(study)
    shown = set(map(int, roomy(drawn.places, _CELLS)))
    dots = tuple(
        Dot(
            x=float(x),
            y=float(y),
            picture=study.reference(int(row)),
            group=int(group[row]),
            shown=place in shown,
        )
        for place, (row, (x, y)) in enumerate(zip(drawn.rows, drawn.places, strict=True))
    )
    some = "all" if len(drawn.rows) == len(refs) else f"{len(drawn.rows):,} of the {len(refs):,}"
    plane = Plane(
        caption=f"A map of {some} references ({drawn.method}): pictures the model finds similar are"
        " close together. Distances across the map mean little.",
        alt=f"Map of {some} references"
        + ("; the table below shows which classes are close" if table else ""),
        dots=dots,
        groups=groups,
    )
    reasons = [_LEARNED] if study.fit.scores_of == "classes" else []
    reasons += [_DRAWN] if drawn.method == TSNE else []
    blocks: list[Block] = [plane]
    if reasons:
        surer = f"The map shows clearer groups than the model sees: {', and '.join(reasons)}."
        blocks.insert(
            0,
            surer
            + (_TRUST.format("the accuracy and in " if study.measured else "") if table else ""),
        )
    if table:
        blocks.append(table)
    return Section("map", "Embedding map", tuple(blocks))


def _groups(study: Study) -> tuple[tuple[str, ...], Ints]:
    """Names of the colours, and the number of each reference's colour from 1, or 0 for none."""
    refs, own = study.fit.references, study.own
    if 1 < len(refs.labels) <= _MOST_COLOURS:
        return refs.labels, refs.label_ids + 1
    group = np.zeros(len(refs), np.int64)
    if own is None or not study.measured:
        return (), group
    group[own.queries] = np.where(own.predicted == own.actual, 1, 2)
    return ("correct when held out", "misclassified"), group


def _next_to(study: Study) -> Table | None:
    """The class of the nearest neighbour, for each class: the map in numbers."""
    refs, own = study.fit.references, study.own
    if own is None or len(refs.labels) < 2 or not (study.measured or study.search):
        return None
    nearest = refs.label_ids[own.found.indices[:, 0]]
    found = recalls(confusion(refs.label_ids[own.queries], nearest, len(refs.labels)))
    rows = []
    for one in found[:_MOST_CLASSES]:
        other = ""
        if one.other is not None:
            other = f"{refs.labels[one.other]}, {percent(one.mistaken / one.right.of)}"
        rows.append((refs.labels[one.label], percent(one.right.value), other))
    few = f", the {len(rows)} most mixed classes" if len(rows) < len(found) else ""
    return Table(
        caption=f"Class of the nearest neighbour{few}, the most mixed first",
        columns=("class", "the same class", "most frequent other class"),
        rows=tuple(rows),
        words=(2,),
        folded=len(rows) > 12,
    )
