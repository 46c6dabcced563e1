"""What pictures were answered with, beside what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.neighbors import Floats, Ints, Neighbors
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.photos.photo import Photo

from .shares import Share, confusion

if TYPE_CHECKING:
    from pocketknn.export.analysis.evaluation import Evaluated, Evaluation

NO_CLASS = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """The answers to q pictures, with their neighbours.

    Attributes:
        queries: (q,) which pictures: rows of the references, or places in the held-out photos.
        found: their k neighbours.
        labels: what the columns of the votes stand for; empty without a vote.
        actual: (q,) the true class, `NO_CLASS` where it is none of `labels`; empty without a vote.
        votes: (q, C); C is 0 without a vote.
        errors: (q, T) answer minus truth of each target; T is 0 without targets.
    """

    queries: Ints
    found: Neighbors
    labels: tuple[str, ...] = ()
    actual: Ints
    votes: Floats
    errors: Floats

    def __len__(self) -> int:
        return len(self.queries)

    @cached_property
    def predicted(self) -> Ints:
        """The class that won (q,)."""
        return winners(self.votes)

    @cached_property
    def confusion(self) -> Ints:
        """How often each class was taken for each (C, C): rows are true, columns are answered.

        Pictures whose true class is none of the labels are in no row.
        """
        known = self.actual != NO_CLASS
        return confusion(self.actual[known], self.predicted[known], len(self.labels))

    @property
    def right(self) -> Share:
        """How many won classes are the true ones."""
        return Share(count=int((self.predicted == self.actual).sum()), of=len(self))

    @property
    def by_class(self) -> bool:
        """Whether there are pictures whose class the answer may name."""
        return bool(self.labels) and bool((self.actual != NO_CLASS).any())

    @cached_property
    def difficulty(self) -> Floats:
        """How far each picture is from a right and sure answer (q,): higher is harder.

        With a vote, by how much the best other class beats the true one; ties are ranked by how
        near the first neighbour is, as a wrong answer from near is the stranger one. With targets,
        the mean error in standard deviations of all errors. Without either, minus the score of the
        nearest neighbour.
        """
        nearest = self.found.scores[:, 0]
        if self.labels:
            rows = np.arange(len(self))
            known = self.actual != NO_CLASS
            own = np.where(known, self.votes[rows, np.maximum(self.actual, 0)], 0.0)
            others = self.votes.copy()
            others[rows[known], self.actual[known]] = -np.inf
            beaten = np.round(others.max(axis=1) - own, 6)
            # Ranks keep the tie-break below any difference of votes.
            place = np.argsort(np.argsort(nearest, kind="stable"))
            return np.asarray(beaten + 1e-7 * place / len(self))
        if self.errors.shape[1]:
            scale = np.maximum(np.sqrt((self.errors**2).mean(axis=0)), 1e-30)
            return np.asarray((np.abs(self.errors) / scale).mean(axis=1))
        return -nearest

    def hardest(self, count: int, among: Ints | None = None) -> Ints:
        """The places of the hardest few answers among some, or all; the hardest first."""
        places = np.arange(len(self)) if among is None else among
        return places[np.argsort(-self.difficulty[places], kind="stable")][:count]


def of_references(fit: Fit) -> Answers | None:
    """Each reference (or a draw of very many) answered by its k nearest others, before rejection.

    By the same answers as the manifest's accuracy; None with one reference only.
    """
    refs = fit.references
    if len(refs) < 2:
        return None
    queries, found, said, *_ = fit.out_of_fold
    regress = fit.head.NUMBERS
    labels = refs.labels if fit.head.CLASSES else ()
    votes, errors = np.empty((len(queries), 0)), np.empty((len(queries), 0))
    if regress:
        errors = said - refs.targets[queries]
    elif labels:
        votes = said
    return Answers(
        queries=queries,
        found=found,
        labels=labels,
        actual=refs.label_ids[queries] if labels else np.empty(0, np.int64),
        votes=votes,
        errors=errors,
    )


def numbers_of(names: Sequence[str], labels: Sequence[str]) -> Ints:
    """The number of each name among the labels, or `NO_CLASS`."""
    number = {label: i for i, label in enumerate(labels)}
    return np.array([number.get(name, NO_CLASS) for name in names], np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Photos that the model does not hold, and what its files made of them.

    Attributes:
        photos: the photos.
        answers: of the first file; its queries are places in `photos`.
        files: each file's figures, with the crop of the build.
        copies: how many of the photos are references themselves.
    """

    photos: tuple[Photo, ...]
    answers: Answers
    files: tuple[Evaluation, ...]
    copies: int

    @classmethod
    def of(cls, made: Evaluated, labels: Sequence[str], copies: int) -> HeldOut:
        """Photos that were answered by files, whose probabilities stand for the labels."""
        photos, outputs = made.photos, made.outputs
        q = len(photos)
        labelled = "probabilities" in outputs and any(photo.label for photo in photos)
        actual, votes = np.empty(0, np.int64), np.empty((q, 0))
        if labelled:
            actual = numbers_of([photo.label for photo in photos], labels)
            votes = np.asarray(outputs["probabilities"], np.float64)
        scores = np.asarray(outputs["scores"], np.float64)
        found = Answers(
            queries=np.arange(q),
            found=Neighbors(scores, np.asarray(outputs["indices"], np.int64)),
            labels=tuple(labels) if labelled else (),
            actual=actual,
            votes=votes,
            errors=np.empty((q, 0)),
        )
        files = tuple(one for one in made.rows if one.crop == made.rows[0].crop)
        return cls(photos=photos, answers=found, files=files, copies=copies)

    def share(self, value: float) -> Share:
        """A share of the photos, with its interval."""
        return Share(count=round(value * len(self.photos)), of=len(self.photos))
