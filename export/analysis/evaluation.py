"""Measure a build's files on held-out photos, with the build's crop or another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.photos.photo import Photo, readable
from pocketknn.builder.photos.pixels.decode import pixels
from pocketknn.export.formats import side_by_side
from pocketknn.export.formats.protocol import Outputs
from pocketknn.export.manifest.artefact import Artefact, picture_input
from pocketknn.export.parity import metrics

# Maps pictures (q, S, S, 3) to the rows of their nearest references (q, k).
Nearest = Callable[[NDArray[np.uint8]], metrics.Indices]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The results of one file with one crop.

    Attributes:
        name: name of the file.
        crop: how the photos were cropped.
        photos: number of photos.
        accuracy: share of the photos whose label won; None without labels or a vote. Photos of a
            class the model does not know count as errors.
        foreign: how many photos are of a class the model does not know.
        unknown: share called unknown; None without a threshold.
        first_equal: share whose nearest reference is that of the baseline. The baseline is the
            build's first file or the exact k-NN, with the build's own crop.
        recall: share of the baseline's neighbours that are found.
    """

    name: str
    crop: str
    photos: int
    accuracy: float | None
    foreign: int
    unknown: float | None
    first_equal: float
    recall: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluated:
    """The results of a build's files on photos.

    Attributes:
        rows: one result per file and crop; for each file, the build's crop comes first.
        photos: the photos that could be read.
        outputs: the first file's outputs, with the build's crop.
    """

    rows: list[Evaluation]
    photos: tuple[Photo, ...]
    outputs: Outputs


def runs(files: int, photos: int, crops: int) -> int:
    """The number of steps of `evaluate`: each photo is read, then run with each file and crop."""
    return photos * (1 + files * crops)


def evaluate(
    files: Sequence[tuple[str, Artefact]],
    photos: Sequence[Photo],
    crop: str | None,
    nearest: Nearest | None = None,
    progress: Callable[[int], None] = lambda done: None,
    meanwhile: Callable[[], None] = lambda: None,
) -> Evaluated:
    """Run the files of a build on photos, which are decoded once.

    Args:
        files: names and open files.
        photos: the photos.
        crop: another crop to measure; None for only the build's.
        nearest: finds the exact neighbours to compare with; None compares with the first file.
        progress: called with the number of steps since the last call: photos read, or photos run by
            one file with all crops. There are `runs` steps in all.
        meanwhile: called once, when only the Keras file is still being run.

    Raises:
        InputError: the files take no pictures, or none of the photos can be read.
    """
    name, first = files[0]
    given = picture_input(name, first.metadata)
    own, size = given["crop"], given["shape"][0]
    crops = list(dict.fromkeys((own, crop or own)))

    def squares_of(photo: Photo) -> list[NDArray[np.uint8]]:
        progress(1)
        return [pixels(photo, size, each) for each in crops]

    read = list(readable(photos, squares_of))
    used = tuple(photos[place] for place, _ in read)
    squares = {each: np.stack([row[i] for _, row in read]) for i, each in enumerate(crops)}

    def answers(file: Artefact) -> dict[str, Outputs]:
        found = {crop: file.run(squares[crop]) for crop in crops}
        progress(len(photos) * len(crops))
        return found

    found = side_by_side.each({file.format: partial(answers, file) for _, file in files}, meanwhile)
    basis = found[first.format][own]
    wanted = basis["indices"] if nearest is None else nearest(squares[own])
    rows = []
    for name, file in files:
        labels, manifest = file.metadata.labels, file.metadata.manifest
        for each in crops:
            outputs = found[file.format][each]
            rows.append(
                Evaluation(
                    name=name,
                    crop=each,
                    photos=len(used),
                    accuracy=metrics.accuracy(outputs, labels, used),
                    foreign=metrics.foreign(labels, used).total(),
                    unknown=metrics.unknown(outputs, manifest),
                    first_equal=metrics.first_equal(wanted, outputs["indices"]),
                    recall=metrics.recall(wanted, outputs["indices"]),
                )
            )
    return Evaluated(rows=rows, photos=used, outputs=basis)
