"""Pictures to look at again: likely mislabelled ones, and near-duplicates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors, rank
from pocketknn.builder.knn import exact
from pocketknn.builder.knn.metric_space import Others, Space
from pocketknn.builder.knn.validation.folds import rows_of_each

from .label_noise import wrong_labels

if TYPE_CHECKING:
    from .answers import Answers

# Share of the median distance to the nearest neighbour. Of flower photos that were scaled to two
# thirds and saved again, eight in ten are within it, while the closest different pair is at 0.69;
# in 30 classes of Caltech 101, ten of the eleven pairs it finds are the same picture.
NEAR = 0.4
_FEWEST = 3  # minimum size of a class in which a picture can be suspect
_COMPARED = 5  # neighbours checked for being the same picture


class Suspect(NamedTuple):
    """A picture that is likely in the wrong class.

    Attributes:
        place: its position in the answers.
        label: the class its neighbours vote for.
        own: share of the vote for the class it is in.
        other: share of the vote for `label`.
    """

    place: int
    label: str
    own: float
    other: float


class Twins(NamedTuple):
    """Two pictures that are nearly the same.

    Attributes:
        one: the query: a row of the references, or a position in the held-out photos.
        other: a row of the references.
        distance: between the two, as a share of the median distance between neighbours.
    """

    one: int
    other: int
    distance: float


def suspects(answers: Answers, space: Space) -> list[Suspect]:
    """Pictures whose label is more likely wrong than right, likeliest first; see `wrong_labels`.

    Another class must have most of the vote, so pictures unlike any class are not suspect. Pictures
    with fewer than two others in their class are not suspect, as two are too few to show what it
    looks like. Neither are pictures held out together with a near-duplicate in the same class: that
    copy would have voted for their label, and one copy in a wrong class would make all of them
    suspect.

    Args:
        answers: held-out references, with votes for at least two classes.
        space: all references.
    """
    ids, queries = space.references.label_ids, answers.queries
    wrong = wrong_labels(answers.votes, answers.actual, answers.found.indices.shape[1])
    doubted = (wrong > 0.5) & (answers.predicted != answers.actual)
    doubted &= answers.votes.max(axis=1) > 0.5
    doubted &= np.bincount(ids)[answers.actual] >= _FEWEST
    if space.folds and doubted.any():
        doubted &= np.bincount(space.pictures)[space.pictures[queries]] == 1
    found = np.flatnonzero(doubted)
    found = found[np.lexsort((-answers.difficulty[found], -wrong[found]))]
    return [
        Suspect(
            int(i),
            answers.labels[answers.predicted[i]],
            float(answers.votes[i, answers.actual[i]]),
            float(answers.votes[i, answers.predicted[i]]),
        )
        for i in found
    ]


def usual_distance(space: Space) -> float:
    """Median distance from a reference to its nearest other one."""
    return _median_distance(space.others.found, space)


def _median_distance(found: Neighbors, space: Space) -> float:
    return float(np.median(distances(found.scores[:, :1], space.metric)))


def twins(space: Space) -> list[Twins]:
    """Pairs of references far closer to each other than neighbours usually are, closest first.

    The embeddings are compared without the projection onto classes. That would drop some
    differences, and copies, always in one fold, would not be compared with each other. Of very many
    references some are compared with all others, see `asked`, and the rest with those that
    `Space.pictures` takes for views of the same picture, in their own class.
    """
    plain = space.unprojected
    queries, found = _nearest_of_all(plain)
    usual = _median_distance(found, plain)
    pairs = _near(queries, found.scores, found.indices, plain, usual)
    if len(queries) < len(space.references):
        for rows in rows_of_each(plain.pictures):
            if len(rows) > 1:
                near = exact.leave_one_out(plain.rows[rows], _COMPARED, metric=plain.metric)
                pairs += _near(rows, near.scores, rows[near.indices], plain, usual)
    unique = {frozenset((pair.one, pair.other)): pair for pair in reversed(pairs)}
    return sorted(unique.values(), key=lambda pair: (pair.distance, pair.one))


def asked(space: Space) -> int:
    """How many references `twins` compares with all others."""
    plain = space.unprojected
    return len(plain.folds[0].test if _has_searched(plain) else plain.sample)


def _has_searched(space: Space) -> bool:
    """Whether another search would take long, and have few more queries than the single fold."""
    return len(space.folds) == 1 and 2 * len(space.folds[0].test) >= len(space.sample)


def _nearest_of_all(space: Space) -> Others:
    """The nearest others of some references, including those of the same fold."""
    if not _has_searched(space):
        return (replace(space, refit=None) if space.refit else space).others
    queries, beyond = space.others
    k = min(_COMPARED, beyond.scores.shape[1], len(queries) - 1)
    beside = exact.leave_one_out(space.rows[queries], k, metric=space.metric)
    scores = np.concatenate([beyond.scores, beside.scores], axis=1)
    rows = np.concatenate([beyond.indices, queries[beside.indices]], axis=1)
    best = rank(scores, k)
    return Others(queries, Neighbors(best.scores, np.take_along_axis(rows, best.indices, axis=1)))


def twins_among(answers: Answers, space: Space) -> list[Twins]:
    """Held-out photos that nearly equal a reference, closest first."""
    scores = np.asarray(answers.found.scores, np.float64)
    usual = usual_distance(space)
    return _near(answers.queries, scores[:, :1], answers.found.indices[:, :1], space, usual)


def distances(scores: Floats, metric: str) -> Floats:
    """Distances from scores, in the scale of the vectors: for cosines the chord length."""
    if METRICS[metric].ANGULAR:
        return np.sqrt(np.maximum(2 - 2 * scores, 0))
    return np.maximum(-scores, 0)


def _near(queries: Ints, scores: Floats, indices: Ints, space: Space, usual: float) -> list[Twins]:
    away = distances(scores[:, :_COMPARED], space.metric)
    # A float32 cosine cannot distinguish a copy from a picture closer than this.
    floor = np.sqrt(2 * space.exact_hit("float32")) if METRICS[space.metric].ANGULAR else 0.0
    rows, columns = np.nonzero(away <= max(NEAR * usual, floor))
    share = away[rows, columns] / (usual or 1.0)
    ones, others = queries[rows], indices[rows, columns]
    order = np.argsort(share, kind="stable")
    return [Twins(int(ones[i]), int(others[i]), float(share[i])) for i in order]
