"""The answers to pictures, with their true classes and values."""

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

from .shares import Recall, Share, confusion, of_held_out, recalls

if TYPE_CHECKING:
    from pocketknn.export.analysis.evaluation import Evaluated, Evaluation

NO_CLASS = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """The answers to q pictures, with their neighbours.

    Attributes:
        queries: (q,) the pictures: rows of the references, or positions in the held-out photos.
        found: their k neighbours.
        labels: the classes of the columns of `votes`; empty without a vote.
        actual: (q,) the true class, `NO_CLASS` if it is none of `labels`; empty without a vote.
        votes: (q, C); C is 0 without a vote.
        errors: (q, T) answer minus truth of each target; T is 0 without targets.
        together: (q,) numbers, equal for references of one picture or occasion; None for photos
            that are not references.
    """

    queries: Ints
    found: Neighbors
    labels: tuple[str, ...] = ()
    actual: Ints
    votes: Floats
    errors: Floats
    together: Ints | None = None

    def __len__(self) -> int:
        return len(self.queries)

    @cached_property
    def predicted(self) -> Ints:
        """The class that won (q,)."""
        return winners(self.votes)

    @cached_property
    def confusion(self) -> Ints:
        """The confusion matrix (C, C): rows are true classes, columns are predicted ones.

        Pictures whose true class is none of the labels are not counted.
        """
        known = self.actual != NO_CLASS
        return confusion(self.actual[known], self.predicted[known], len(self.labels))

    @property
    def right(self) -> Share:
        """The share of pictures whose predicted class is the true one."""
        return self._share(np.arange(len(self)))

    @cached_property
    def recalls(self) -> list[Recall]:
        """The recall of each class that has pictures, weakest first."""
        return [
            one._replace(right=self._share(np.flatnonzero(self.actual == one.label)))
            for one in recalls(self.confusion)
        ]

    def _share(self, places: Ints) -> Share:
        """The share of right answers among these."""
        right = (self.predicted == self.actual)[places]
        if self.together is None or not len(places):
            return Share(count=int(right.sum()), of=len(right))
        return of_held_out(right.astype(float), self.together[places])

    @property
    def by_class(self) -> bool:
        """Whether there are pictures whose true class is among the labels."""
        return bool(self.labels) and bool((self.actual != NO_CLASS).any())

    @cached_property
    def difficulty(self) -> Floats:
        """How far each picture is from a correct and confident answer (q,): higher is harder.

        With a vote, it is the margin by which the best other class beats the true one; among ties,
        a picture with a closer nearest neighbour is harder, as its wrong answer is more surprising.
        With targets, it is the mean error in standard deviations of all errors. Without either, it
        is minus the score of the nearest neighbour.
        """
        nearest = self.found.scores[:, 0]
        if self.labels:
            rows = np.arange(len(self))
            known = self.actual != NO_CLASS
            own = np.where(known, self.votes[rows, np.maximum(self.actual, 0)], 0.0)
            others = self.votes.copy()
            others[rows[known], self.actual[known]] = -np.inf
            beaten = np.round(others.max(axis=1) - own, 6)
            # Ranks keep the tie-break smaller than any difference in votes.
            place = np.argsort(np.argsort(nearest, kind="stable"))
            return np.asarray(beaten + 1e-7 * place / len(self))
        if self.errors.shape[1]:
            scale = np.maximum(np.sqrt((self.errors**2).mean(axis=0)), 1e-30)
            return np.asarray((np.abs(self.errors) / scale).mean(axis=1))
        return -nearest

    def hardest(self, count: int, among: Ints | None = None) -> Ints:
        """Positions of the `count` hardest answers, hardest first; `among` limits the choice."""
        places = np.arange(len(self)) if among is None else among
        return places[np.argsort(-self.difficulty[places], kind="stable")][:count]


def of_references(fit: Fit) -> Answers | None:
    """Each reference, or a sample of them, predicted from its k nearest others, before rejection.

    The manifest's accuracy is that of these answers. None with only one reference.
    """
    refs = fit.references
    if len(refs) < 2:
        return None
    queries, found, answers, *_ = fit.out_of_fold
    regress = fit.head.NUMBERS
    labels = refs.labels if fit.head.CLASSES else ()
    votes, errors = np.empty((len(queries), 0)), np.empty((len(queries), 0))
    if regress:
        errors = answers - refs.targets[queries]
    elif labels:
        votes = answers
    return Answers(
        queries=queries,
        found=found,
        labels=labels,
        actual=refs.label_ids[queries] if labels else np.empty(0, np.int64),
        votes=votes,
        errors=errors,
        together=fit.space.together[queries],
    )


def numbers_of(names: Sequence[str], labels: Sequence[str]) -> Ints:
    """The number of each name among the labels, or `NO_CLASS`."""
    number = {label: i for i, label in enumerate(labels)}
    return np.array([number.get(name, NO_CLASS) for name in names], np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """The photos given to `eval`, and the answers of the model's files to them.

    Attributes:
        photos: the photos.
        answers: the first file's answers; its queries are positions in `photos`.
        files: each file's figures, with the crop of the build.
        copies: how many of the photos are references of the model.
    """

    photos: tuple[Photo, ...]
    answers: Answers
    files: tuple[Evaluation, ...]
    copies: int

    @classmethod
    def of(cls, made: Evaluated, labels: Sequence[str], copies: int) -> HeldOut:
        """Collect what the files answered; their probabilities are in the order of the labels."""
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
