"""Pictures become embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from .backbone import Backbone
from .cache import Cache
from .engine import TOGETHER, cores
from .errors import InputError
from .images import Photo, PictureError, picture, read
from .references import Provenance, References

A = TypeVar("A")
P = ParamSpec("P")


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
        provenance: which backbone embedded them.
    """

    photos: tuple[Photo, ...]
    embeddings: NDArray[np.float32]
    sha256: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    provenance: Provenance

    def references(
        self, classes: Sequence[str] | None = None, target_names: Sequence[str] | None = None
    ) -> References:
        """These pictures as references, with labels and targets where they have any.

        Args:
            classes: the order of the classes; sorted by name when None.
            target_names: what the targets are.

        Raises:
            InputError: a label is not among the classes.
        """
        labels = [photo.label for photo in self.photos]
        targets = [photo.targets for photo in self.photos]
        return References.of(
            self.embeddings,
            labels if any(labels) else None,
            targets=targets if any(targets) else None,
            target_names=target_names if any(targets) else None,
            provenance=self.provenance,
            classes=classes,
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
    cache: Cache | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Embedded:
    """Read pictures and run the backbone on those that the cache does not know.

    Args:
        photos: what `sources.find` found.
        backbone: gives embeddings (batch, d).
        crop: `center`, `stretch` or `fit`.
        strict: refuse the first picture that cannot be read, instead of skipping it.
        cache: remembers embeddings from build to build.
        progress: called with the number of pictures done since the last call.

    Raises:
        InputError: none of the pictures of a class can be read; with `strict`, one of them cannot.
    """
    labelled = any(photo.label for photo in photos)
    wanted = [photo for photo in photos if photo.label or not labelled]
    skipped = [
        Skipped(name=photo.name, reason="lies beside the class folders, so it has no label")
        for photo in photos
        if labelled and not photo.label
    ]
    progress(len(skipped))
    chunks = [wanted[start : start + TOGETHER] for start in range(0, len(wanted), TOGETHER)]
    used: list[_Done] = []
    # A thread holds the files and pixels of one chunk, whatever the folder's size.
    workers = ThreadPoolExecutor(cores())
    try:
        outcomes = workers.map(lambda chunk: _attempt_all(chunk, backbone, crop, cache), chunks)
        for chunk, results in zip(chunks, outcomes, strict=True):
            for photo, outcome in zip(chunk, results, strict=True):
                if isinstance(outcome, _Done):
                    used.append(outcome)
                elif strict:
                    raise InputError(f"{photo.name}: {outcome}")
                else:
                    skipped.append(Skipped(name=photo.name, reason=str(outcome)))
            progress(len(chunk))
    finally:
        workers.shutdown(cancel_futures=True)  # an error does not wait for all other pictures
    done = [one.photo for one in used]
    _check_classes(wanted, done, skipped)
    embeddings = np.stack([one.embedding for one in used])
    if not np.isfinite(embeddings).all():
        bad = done[int(np.argmin(np.isfinite(embeddings).all(axis=1)))]
        raise InputError(f"the backbone {backbone.name!r} gives NaN or infinity for {bad.name}")
    return Embedded(
        photos=tuple(done),
        embeddings=embeddings,
        sha256=tuple(one.sha256 for one in used),
        skipped=tuple(skipped),
        provenance=Provenance(
            backbone=backbone.name,
            alpha=backbone.alpha,
            size=backbone.size,
            input_range=backbone.input_range,
            sha256=backbone.sha256(),
            crop=crop,
        ),
    )


class _Done(NamedTuple):
    photo: Photo
    sha256: str
    embedding: NDArray[np.float32]


def _attempt_all(
    photos: Sequence[Photo], backbone: Backbone, crop: str, cache: Cache | None
) -> list[_Done | PictureError]:
    """Each photo's embedding, or why there is none."""
    contents = [_attempt(read, photo) for photo in photos]
    hashes = [
        "" if isinstance(content, PictureError) else hashlib.sha256(content).hexdigest()
        for content in contents
    ]
    known = cache.get([key for key in dict.fromkeys(hashes) if key]) if cache else {}
    # The same picture twice is embedded once.
    new = {
        key: _attempt(picture, content, backbone.size, crop)
        for key, content in dict(zip(hashes, contents, strict=True)).items()
        if key not in known and not isinstance(content, PictureError)
    }
    broken = {key: error for key, error in new.items() if isinstance(error, PictureError)}
    sound = {key: made for key, made in new.items() if not isinstance(made, PictureError)}
    if sound:
        vectors = backbone.engine.run(np.stack(list(sound.values())))
        fresh = dict(zip(sound, vectors, strict=True))
        if cache:
            cache.put(fresh)
        known |= fresh
    return [
        content
        if isinstance(content, PictureError)
        else broken[key]
        if key in broken
        else _Done(photo, key, known[key])
        for photo, key, content in zip(photos, hashes, contents, strict=True)
    ]


def run(backbone: Backbone, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embeddings (n, d) of pictures (n, size, size, 3) with values 0..255."""
    chunks = [pixels[start : start + TOGETHER] for start in range(0, len(pixels), TOGETHER)]
    with ThreadPoolExecutor(cores()) as workers:
        return np.concatenate(list(workers.map(backbone.engine.run, chunks)))


def _check_classes(
    photos: Sequence[Photo], used: Sequence[Photo], skipped: Sequence[Skipped]
) -> None:
    empty = sorted({photo.label for photo in photos} - {photo.label for photo in used})
    if empty:
        what = f"the class {empty[0]!r}" if empty[0] else "the folder"
        names = {photo.name for photo in photos if photo.label == empty[0]}
        ours = next(one for one in skipped if one.name in names)
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


def _attempt(work: Callable[P, A], *args: P.args, **kwargs: P.kwargs) -> A | PictureError:
    """What a function gives, or the PictureError that it raises."""
    try:
        return work(*args, **kwargs)
    except PictureError as error:
        return error
