"""How good a file of a build is on photos that it does not hold, cropped as built and otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.photos.photo import Photo, readable
from pocketknn.builder.photos.pixels.decode import pixels
from pocketknn.export.formats.protocol import Outputs
from pocketknn.export.manifest.artefact import Artefact, picture_input
from pocketknn.export.parity import metrics


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
        first_equal: share whose nearest reference is the one that the build's first file finds
            with the build's own crop.
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
    """What a file made of photos.

    Attributes:
        rows: its figures, with the crop of the build first.
        photos: those that could be read.
        outputs: with the crop of the build.
    """

    rows: list[Evaluation]
    photos: tuple[Photo, ...]
    outputs: Outputs


def evaluate(
    name: str,
    file: Artefact,
    photos: Sequence[Photo],
    crop: str | None,
    basis: NDArray[np.integer] | None,
) -> Evaluated:
    """Run a file on photos.

    Args:
        name: of the file.
        file: the file, open.
        photos: the photos.
        crop: also with this one; None for that of the build alone.
        basis: (q, k) indices that the build's first file found with the build's own crop; None
            where this is the first.

    Raises:
        InputError: it takes no pictures, or none of the photos can be read.
    """
    given = picture_input(name, file.metadata)
    crops = list(dict.fromkeys((given["crop"], crop or given["crop"])))
    used, squares = _squares(photos, given["shape"][0], crops)
    outputs = {each: file.run(squares[each]) for each in crops}
    labels = file.metadata.labels
    own = outputs[given["crop"]]["indices"] if basis is None else basis
    rows = [
        Evaluation(
            name=name,
            crop=each,
            photos=len(used),
            accuracy=metrics.accuracy(outputs[each], labels, used),
            foreign=metrics.foreign(labels, used).total(),
            unknown=metrics.unknown(outputs[each], file.metadata.manifest),
            first_equal=metrics.first_equal(own, indices),
            recall=metrics.recall(own, indices),
        )
        for each in crops
        for indices in [outputs[each]["indices"]]
    ]
    return Evaluated(rows=rows, photos=tuple(used), outputs=outputs[given["crop"]])


def _squares(
    photos: Sequence[Photo], size: int, crops: Sequence[str]
) -> tuple[list[Photo], dict[str, NDArray[np.uint8]]]:
    made = list(readable(photos, lambda photo: [pixels(photo, size, crop) for crop in crops]))
    squares = {crop: np.stack([row[i] for _, row in made]) for i, crop in enumerate(crops)}
    return [photos[place] for place, _ in made], squares
