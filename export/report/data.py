"""What a report is about: a build, and what was measured on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.knn.exact import Neighbors
from pocketknn.builder.knn.resolve import Fit
from pocketknn.builder.photos.decode import Photo
from pocketknn.export.analysis.latency import Timing
from pocketknn.export.formats.protocol import Outputs
from pocketknn.export.report.statistics import predictions as answers
from pocketknn.export.report.statistics.intervals import Share
from pocketknn.export.report.statistics.predictions import Answers

from .blocks import Picture
from .thumbnails import held_out, reference


class Result(Protocol):
    """What `eval` measures of a file."""

    @property
    def name(self) -> str:
        """Of the file."""

    @property
    def accuracy(self) -> float | None:
        """Share of the photos whose label won."""

    @property
    def unknown(self) -> float | None:
        """Share that is taken for a stranger."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one file made of the held-out photos.

    Attributes:
        name: of the file.
        right: how many labels won; None without labels or a vote.
        unknown: how many were taken for strangers; None without a threshold.
    """

    name: str
    right: Share | None
    unknown: Share | None


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Photos that the model does not hold, and what its files made of them.

    Attributes:
        photos: the photos.
        answers: of the first file; its queries are places in `photos`.
        files: each file's result, the first file's first.
        copies: how many of the photos are references themselves.
    """

    photos: tuple[Photo, ...]
    answers: Answers
    files: tuple[Measured, ...]
    copies: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """A build, and all that its report needs.

    Attributes:
        fit: the choices and the references.
        manifest: of the build, with its files and their parity.
        timings: of the files; none where none could be taken.
        photos: the photo of each reference, where they are at hand.
        held_out: other photos, or None.
        strangers: embeddings (s, d) of pictures of no class, or None.
    """

    fit: Fit
    manifest: dict[str, Any]
    timings: Sequence[Timing] = ()
    photos: Sequence[Photo] = field(default=())
    held_out: HeldOut | None = None
    strangers: NDArray[np.floating] | None = None

    @cached_property
    def own(self) -> Answers | None:
        """Each reference answered by the others."""
        return answers.leave_one_out(self.fit)

    @property
    def labelled(self) -> bool:
        """Whether answers are right or wrong."""
        return bool(self.own and self.own.labels)

    @property
    def regress(self) -> bool:
        """Whether answers are numbers."""
        return self.fit.head.NUMBERS

    @property
    def sampled(self) -> str:
        """What is to be said where not all references were asked for; "" where all were."""
        if self.own is None or len(self.own) == len(self.fit.references):
            return ""
        asked, all_ = f"{len(self.own):,}", f"{len(self.fit.references):,}"
        return f"Measured on {asked} of the {all_} references, drawn by chance."

    def photo_of(self, key: str) -> Photo | None:
        """The photo of a thumbnail's key."""
        photos = (
            self.photos if key.startswith("r") else self.held_out.photos if self.held_out else ()
        )
        place = int(key[1:])
        return photos[place] if place < len(photos) else None

    def reference(self, row: int, note: str = "", right: bool | None = None) -> Picture:
        """A reference as a picture of the page."""
        refs = self.fit.references
        return Picture(
            key=reference(row),
            name=refs.paths[row] or refs.ids[row],
            label=refs.label_of(row),
            note=note,
            right=right,
        )

    def asked(self, given: Answers, place: int, note: str = "") -> Picture:
        """A picture that was asked for: a reference, or a held-out photo."""
        number = int(given.queries[place])
        if self.held_out is None or given is not self.held_out.answers:
            return self.reference(number, note)
        photo = self.held_out.photos[number]
        # A build without names gets none later either.
        name = photo.name if any(self.fit.references.paths) else f"photo {number + 1}"
        return Picture(key=held_out(number), name=name, label=photo.label, note=note)


def held_out_of(
    photos: Sequence[Photo],
    outputs: Outputs,
    labels: Sequence[str],
    files: Sequence[Result],
    *,
    copies: int,
) -> HeldOut:
    """Photos that were answered by a file.

    Args:
        photos: the q photos.
        outputs: of the first of the files for them.
        labels: what its probabilities stand for.
        files: what was measured of each file.
        copies: how many of the photos are references.
    """
    q = len(photos)
    labelled = "probabilities" in outputs and any(photo.label for photo in photos)
    found = Neighbors(
        np.asarray(outputs["scores"], np.float64), np.asarray(outputs["indices"], np.int64)
    )

    def share(value: float | None) -> Share | None:
        return None if value is None else Share(count=round(value * q), of=q)

    return HeldOut(
        photos=tuple(photos),
        answers=Answers(
            queries=np.arange(q),
            found=found,
            labels=tuple(labels) if labelled else (),
            actual=answers.numbers_of([photo.label for photo in photos], labels)
            if labelled
            else np.empty(0, np.int64),
            votes=np.asarray(outputs["probabilities"], np.float64)
            if labelled
            else np.empty((q, 0)),
            errors=np.empty((q, 0)),
        ),
        files=tuple(
            Measured(name=one.name, right=share(one.accuracy), unknown=share(one.unknown))
            for one in files
        ),
        copies=copies,
    )
