"""How good a file of a build is on photos that it does not hold, cropped as built and otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.photos.photo import Photo, readable
from pocketknn.builder.photos.pixels.decode import pixels
from pocketknn.export.formats.protocol import Outputs
from pocketknn.export.manifest.artefact import Artefact, picture_input
from pocketknn.export.parity import metrics

# Pictures (q, S, S, 3) to the rows of their nearest references (q, k).
Nearest = Callable[[NDArray[np.uint8]], metrics.Indices]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One file on one way of making squares.

    Attributes:
        name: of the file.
        crop: how the photos were cropped.
        photos: how many there were.
        accuracy: share of the photos whose label won; None without labels or a vote. Those of a
            class that the model does not know are errors.
        foreign: how many photos are of such a class.
        unknown: share that is taken for a stranger; None without a threshold.
        first_equal: share whose nearest reference is the one that the basis finds with the build's
            own crop: the build's first file, or the exact k-NN.
        recall: share of the neighbours found that are found there.
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
    """What the files of a build made of photos.

    Attributes:
        rows: the figures of each file, with the crop of the build first.
        photos: those that could be read.
        outputs: of the first file, with the crop of the build.
    """

    rows: list[Evaluation]
    photos: tuple[Photo, ...]
    outputs: Outputs


def evaluate(
    files: Sequence[tuple[str, Artefact]],
    photos: Sequence[Photo],
    crop: str | None,
    nearest: Nearest | None = None,
) -> Evaluated:
    """Run the files of a build on photos, which are decoded once.

    Args:
        files: names, and the files, open.
        photos: the photos.
        crop: also with this one; None for that of the build alone.
        nearest: the exact neighbours, with which to compare; None compares with the first file.

    Raises:
        InputError: they take no pictures, or none of the photos can be read.
    """
    name, first = files[0]
    given = picture_input(name, first.metadata)
    own, size = given["crop"], given["shape"][0]
    crops = list(dict.fromkeys((own, crop or own)))
    read = list(readable(photos, lambda photo: [pixels(photo, size, each) for each in crops]))
    used = tuple(photos[place] for place, _ in read)
    squares = {each: np.stack([row[i] for _, row in read]) for i, each in enumerate(crops)}
    basis = first.run(squares[own])
    wanted = basis["indices"] if nearest is None else nearest(squares[own])
    rows = []
    for name, file in files:
        labels, manifest = file.metadata.labels, file.metadata.manifest
        for each in crops:
            outputs = basis if file is first and each == own else file.run(squares[each])
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
