"""Photos that a build does not hold, and what its files make of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pocketknn.builder.choices.neighbors import Neighbors

from .statistics.answers import Answers, numbers_of
from .statistics.intervals import Share

if TYPE_CHECKING:
    from pocketknn.builder.photos.photo import Photo
    from pocketknn.export.formats.protocol import Outputs


class FileResult(NamedTuple):
    """What one file made of the held-out photos.

    Attributes:
        name: of the file.
        right: share of the labels that won; None without labels or a vote.
        unknown: share that was taken for strangers; None without a threshold.
    """

    name: str
    right: float | None
    unknown: float | None


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
    files: tuple[FileResult, ...]
    copies: int

    @classmethod
    def of(
        cls,
        photos: Sequence[Photo],
        outputs: Outputs,
        labels: Sequence[str],
        files: Iterable[FileResult],
        *,
        copies: int,
    ) -> HeldOut:
        """Photos that were answered by a file.

        Args:
            photos: the q photos.
            outputs: of the first of the files for them.
            labels: what its probabilities stand for.
            files: each file's result, the first file's first.
            copies: how many of the photos are references.
        """
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
        return cls(photos=tuple(photos), answers=found, files=tuple(files), copies=copies)

    def share(self, value: float) -> Share:
        """A share of the photos, with its interval."""
        return Share(count=round(value * len(self.photos)), of=len(self.photos))
