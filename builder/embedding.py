"""Pictures become embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .backbone import Backbone
from .errors import InputError
from .images import Photo, Picture, PictureError, read
from .references import References

_BATCH = 32
_READERS = 4
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A picture that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedded:
    """The pictures that could be read, with their embeddings, in the order they were given.

    Attributes:
        photos: the n pictures that were used.
        embeddings: (n, d) float32, as the backbone gives them.
        sha256: hash of each file.
        skipped: the pictures that were left out.
    """

    photos: tuple[Photo, ...]
    embeddings: NDArray[np.float32]
    sha256: tuple[str, ...]
    skipped: tuple[Skipped, ...]

    def references(self) -> References:
        """These pictures as references, with labels where they lie in class folders."""
        labels = [photo.label for photo in self.photos]
        return References.of(
            self.embeddings,
            labels if any(labels) else None,
            ids=_ids(self.sha256),
            paths=[photo.name for photo in self.photos],
            sha256=self.sha256,
        )


def embed(
    photos: Sequence[Photo],
    backbone: Backbone,
    crop: str,
    *,
    strict: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Embedded:
    """Read pictures and run the backbone on them, a batch at a time.

    Args:
        photos: what `images.find` found.
        backbone: gives embeddings (batch, d).
        crop: `center`, `stretch` or `fit`.
        strict: refuse the first picture that cannot be read, instead of skipping it.
        progress: called with the number of pictures done since the last call.

    Raises:
        InputError: none of the pictures of a class can be read; with `strict`, one of them cannot.
    """
    labelled = any(photo.label for photo in photos)
    stray = [photo.name for photo in photos if labelled and not photo.label]
    photos = [photo for photo in photos if photo.label or not labelled]
    used: list[Photo] = []
    hashes: list[str] = []
    skipped = [Skipped(name=name, reason="lies beside the class folders") for name in stray]
    blocks: list[NDArray[np.float32]] = []
    for batch in _batches(_readable(photos, backbone.size, crop, strict, skipped), _BATCH):
        pixels = np.stack([picture.pixels for _, picture in batch])
        blocks.append(run(backbone, pixels))
        used += [photo for photo, _ in batch]
        hashes += [picture.sha256 for _, picture in batch]
        progress(len(batch))
    progress(len(skipped))
    _check_classes(photos, used, skipped)
    embeddings = np.concatenate(blocks)
    if not np.isfinite(embeddings).all():
        bad = used[int(np.argmin(np.isfinite(embeddings).all(axis=1)))]
        raise InputError(f"the backbone {backbone.name!r} gives NaN or infinity for {bad.name}")
    return Embedded(
        photos=tuple(used),
        embeddings=embeddings,
        sha256=tuple(hashes),
        skipped=tuple(skipped),
    )


def run(backbone: Backbone, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embeddings (n, d) of pictures (n, size, size, 3) with values 0..255."""
    blocks = []
    for start in range(0, len(pixels), _BATCH):
        block = pixels[start : start + _BATCH].astype(np.float32)
        # A short last batch is filled up, or the network would be traced for each length.
        full = np.concatenate([block, np.zeros((_BATCH - len(block), *block.shape[1:]), "f4")])
        blocks.append(np.asarray(backbone.model.predict_on_batch(full))[: len(block)])
    return np.concatenate(blocks)


def _check_classes(
    photos: Sequence[Photo], used: Sequence[Photo], skipped: Sequence[Skipped]
) -> None:
    empty = sorted({photo.label for photo in photos} - {photo.label for photo in used})
    if empty:
        what = f"the class {empty[0]!r}" if empty[0] else "the folder"
        ours = next(one for one in skipped if one.name.rpartition("/")[0] == empty[0])
        raise InputError(f"{what} has no usable picture; {ours.name}: {ours.reason}")


def _ids(hashes: Sequence[str]) -> list[str]:
    """The start of each hash, long enough to tell pictures apart; copies get -2, -3 and so on."""
    length = 12
    while len({h[:length] for h in hashes}) < len(set(hashes)):
        length += 4
    seen: dict[str, int] = {}
    ids = []
    for value in hashes:
        short = value[:length]
        seen[short] = seen.get(short, 0) + 1
        ids.append(short if seen[short] == 1 else f"{short}-{seen[short]}")
    return ids


def _readable(
    photos: Sequence[Photo], size: int, crop: str, strict: bool, skipped: list[Skipped]
) -> Iterator[tuple[Photo, Picture]]:
    def attempt(photo: Photo) -> Picture | PictureError:
        try:
            return read(photo.path, size, crop)
        except PictureError as error:
            return error

    with ThreadPoolExecutor(_READERS) as readers:
        # A window of futures, so that memory stays bounded whatever the folder's size.
        for window in _batches(photos, _BATCH):
            for photo, outcome in zip(window, readers.map(attempt, window), strict=True):
                if isinstance(outcome, Picture):
                    yield photo, outcome
                elif strict:
                    raise InputError(f"{photo.name}: {outcome}")
                else:
                    skipped.append(Skipped(name=photo.name, reason=str(outcome)))


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
