"""Measure a model on shifted photos, compared with the unchanged ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.photo import Photo, drawn, read
from pocketknn.builder.photos.pixels.crop import square
from pocketknn.builder.photos.pixels.decode import decode
from pocketknn.export.manifest.artefact import Artefact, picture_input
from pocketknn.export.parity import metrics

from .corruptions import Strength, shifts

COUNT = 100
# Table headings of what is measured.
_SHARES = {
    "accuracy": "accuracy",
    "unknown": "unknown",
    "same_label": "class",
    "first_equal": "top-1",
    "recall": "neighbours",
}


@dataclass(frozen=True, kw_only=True)
class Shifted:
    """The results of one file on photos shifted in one way.

    Attributes:
        name: name of the file.
        shift: how the photos were shifted.
        strength: how far they were shifted.
        unit: unit of the strength.
        plain: whether this strength leaves the photos unchanged.
        photos: number of photos.
        accuracy: share of the photos whose label won; None without labels or a vote.
        unknown: share called unknown; None without a threshold.
        same_label: share that gets the same class as the unchanged photo; None without a vote.
        first_equal: share with the same nearest reference as the unchanged photo.
        recall: share of the unchanged photos' neighbours that are still found.
    """

    name: str
    shift: str
    strength: Strength
    unit: str
    plain: bool
    photos: int
    accuracy: float | None
    unknown: float | None
    same_label: float | None
    first_equal: float
    recall: float

    @property
    def words(self) -> str:
        """The strength in words: "5 degrees"."""
        named = isinstance(self.strength, str)
        return str(self.strength) if named else f"{self.strength} {self.unit}"


def measure(
    name: str,
    file: Artefact,
    photos: Sequence[Photo],
    *,
    count: int = COUNT,
    seed: int = 0,
    progress: Callable[[int], object] = lambda done: None,
) -> tuple[list[Shifted], list[Photo]]:
    """Run a file on photos, and on the same photos with every shift at every strength.

    Args:
        name: name of the file.
        file: an artefact that takes pictures.
        photos: the photos to sample from.
        count: maximum sample size; photos that cannot be read are skipped.
        seed: random seed for the sample and the noise.
        progress: called with 1 for each photo.

    Returns:
        A row for each strength of each shift, and the photos that were used.

    Raises:
        InputError: the file takes features, `count` is below 1, or none of the photos can be read.
    """
    given = picture_input(name, file.metadata)
    check(count, seed)
    size, crop = given["shape"][0], given["crop"]
    ways = shifts(size, crop)
    changes = [(way, by) for way in ways for by in way.strengths if by != way.plain]
    used, answers = [], []
    images = drawn(photos, lambda photo: decode(read(photo)), seed)
    for number, image in islice(images, min(count, len(photos))):
        # All strengths of noise share one pattern.
        squares = [
            way.make(image, by, np.random.default_rng([seed, number])) for way, by in changes
        ]
        answers.append(file.run(np.stack([square(image, size, crop), *squares])))
        used.append(photos[number])
        progress(1)
    together = {name: np.stack([one[name] for one in answers], axis=1) for name in answers[0]}
    plain, *others = (
        {name: values[row] for name, values in together.items()} for row in range(1 + len(changes))
    )
    changed = dict(zip([(way.name, by) for way, by in changes], others, strict=True))
    rows = [
        Shifted(
            name=name,
            shift=way.name,
            strength=by,
            unit=way.unit,
            plain=by == way.plain,
            photos=len(used),
            accuracy=metrics.accuracy(outputs, file.metadata.labels, used),
            unknown=metrics.unknown(outputs, file.metadata.manifest),
            same_label=metrics.same_label(plain, outputs),
            first_equal=metrics.first_equal(plain["indices"], outputs["indices"]),
            recall=metrics.recall(plain["indices"], outputs["indices"]),
        )
        for way in ways
        for by in way.strengths
        for outputs in [changed.get((way.name, by), plain)]
    ]
    return rows, used


def check(count: int, seed: int) -> None:
    """Check the arguments of `measure` before a file is loaded.

    Raises:
        InputError: `count` is below 1, or `seed` is negative.
    """
    if count < 1:
        raise InputError(f"the sample needs at least 1 photo, not {count}", "too-few-photos")
    if seed < 0:
        raise InputError(f"the seed must be at least 0, not {seed}", "seed-out-of-range")


def shares(rows: Sequence[Shifted]) -> dict[str, str]:
    """The shares that were measured, and their headings."""
    return {key: word for key, word in _SHARES.items() if getattr(rows[0], key) is not None}
