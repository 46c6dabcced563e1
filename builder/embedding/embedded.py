"""The result of embedding pictures, with any engine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.backbones.provenance import Provenance
from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.photo import Photo, PictureError
from pocketknn.builder.references.columns import ids_of
from pocketknn.builder.references.references import References

_NO_LABEL = "is not in a class folder, or has an empty label in the table"


class Done(NamedTuple):
    """A picture that was embedded.

    Attributes:
        sha256: hash of the file.
        embedding: (d,) float32.
    """

    sha256: str
    embedding: NDArray[np.float32]


Outcome = Done | PictureError
# The outcome for each of some photos, in order.
Attempts = Callable[[Sequence[Photo]], Generator[Outcome, None, None]]


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A picture that was skipped, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedded:
    """The readable pictures with their embeddings, in the given order.

    Attributes:
        photos: the n pictures that were used.
        embeddings: (n, d) float32 backbone output.
        sha256: hash of each file.
        skipped: the pictures that were not used.
        provenance: the backbone that embedded them.
    """

    photos: tuple[Photo, ...]
    embeddings: NDArray[np.float32]
    sha256: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    provenance: Provenance

    def references(
        self, classes: Sequence[str] | None = None, target_names: Sequence[str] | None = None
    ) -> References:
        """These pictures as references: with targets if any has them, with labels if all have one.

        Args:
            classes: the order of the classes; sorted by name when None.
            target_names: the names of the targets.

        Raises:
            InputError: a label is not among the classes, or there are classes but no labels.
        """
        labels = [photo.label for photo in self.photos]
        targets = [photo.targets for photo in self.photos]
        return References.of(
            self.embeddings,
            labels if all(labels) else None,
            targets=targets if any(targets) else None,
            target_names=target_names if any(targets) else None,
            provenance=self.provenance,
            classes=classes,
            ids=ids_of(self.sha256),
            paths=[photo.name for photo in self.photos],
            sha256=self.sha256,
            occasions=[photo.occasion for photo in self.photos],
        )


def collect(
    photos: Sequence[Photo],
    backbone: Backbone,
    crop: str,
    attempts: Attempts,
    *,
    strict: bool,
    progress: Callable[[int], None],
) -> Embedded:
    """Collect an engine's results as they come: the part of `embed` shared by all engines.

    Args:
        photos: from `find`.
        backbone: gives embeddings (batch, d).
        crop: `center`, `stretch` or `fit`.
        attempts: a generator of outcomes, one for each picture in the given order; it is closed
            early on an error.
        strict: raise for the first unreadable picture, instead of skipping it.
        progress: called with the number of pictures done since the last call.

    Raises:
        InputError: for the same reasons as `embed`.
    """
    wanted, skipped = with_labels(photos)
    progress(len(skipped))
    done: list[Photo] = []
    hashes: list[str] = []
    # One copy of the embeddings in memory; only names also grow with the folder.
    embeddings = np.empty((len(wanted), backbone.dim), np.float32)
    with closing(attempts(wanted)) as outcomes:
        for photo, outcome in zip(wanted, outcomes, strict=True):
            if isinstance(outcome, Done):
                if not np.isfinite(outcome.embedding).all():
                    name = backbone.name
                    raise InputError(
                        f"the backbone {name!r} gives NaN or infinity for {photo.name}",
                        "embedding-not-finite",
                    )
                embeddings[len(done)] = outcome.embedding
                done.append(photo)
                hashes.append(outcome.sha256)
            elif strict:
                raise InputError(f"{photo.name}: {outcome}", "unreadable-picture")
            else:
                skipped.append(Skipped(name=photo.name, reason=str(outcome)))
            progress(1)
    _check_classes(wanted, done, skipped)
    embeddings.flags.writeable = False  # so that references need not copy them
    return Embedded(
        photos=tuple(done),
        embeddings=embeddings[: len(done)],
        sha256=tuple(hashes),
        skipped=tuple(skipped),
        provenance=backbone.provenance(crop),
    )


def with_labels(photos: Sequence[Photo]) -> tuple[list[Photo], list[Skipped]]:
    """The usable photos, and the skipped ones: those without a class if others have one.

    Photos with targets need no class.
    """
    labelled = any(photo.label for photo in photos) and not any(one.targets for one in photos)
    wanted = [photo for photo in photos if photo.label or not labelled]
    return wanted, [
        Skipped(name=photo.name, reason=_NO_LABEL)
        for photo in photos
        if labelled and not photo.label
    ]


def _check_classes(
    photos: Sequence[Photo], used: Sequence[Photo], skipped: Sequence[Skipped]
) -> None:
    empty = sorted({photo.label for photo in photos} - {photo.label for photo in used})
    if empty:
        what = f"the class {empty[0]!r}" if empty[0] else "the folder"
        names = {photo.name for photo in photos if photo.label == empty[0]}
        ours = next(one for one in skipped if one.name in names)
        raise InputError(
            f"{what} has no usable picture; {ours.name}: {ours.reason}", "no-readable-picture"
        )
