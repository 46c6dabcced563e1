"""Match photos with the references made from them."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.photos.photo import Photo, PictureError, read
from pocketknn.builder.photos.pixels.crop import square
from pocketknn.builder.photos.pixels.decode import decode

OF_PICTURE = re.compile(r"([0-9a-f]{12,64})(-\d+)?")  # an id that a build derived from a picture


class ByPicture:
    """Find references by picture: an id that a build gave is a prefix of the file's hash.

    Copies have the ids abc, abc-2, abc-3; ids of another kind belong to no picture.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, one in enumerate(ids):
            if match := OF_PICTURE.fullmatch(one):
                self._places[match[1]].append(place)
        self._lengths = sorted(set(map(len, self._places)))

    def places(self, content: bytes) -> list[int]:
        """The positions of the ids of a picture, found by its content, not its path.

        Args:
            content: the bytes of the file.
        """
        digest = hashlib.sha256(content).hexdigest()
        return [
            place for length in self._lengths for place in self._places.get(digest[:length], ())
        ]


def among(photos: Iterable[Photo], ids: Iterable[str]) -> NDArray[np.bool_]:
    """Which of the photos are references (q,)."""
    references = ByPicture(ids)

    def is_one(photo: Photo) -> bool:
        try:
            return bool(references.places(read(photo)))
        except PictureError:
            return False

    return np.array([is_one(photo) for photo in photos], bool)


def thumbnails(
    paths: Mapping[str, str], photos: Iterable[Photo], size: int, crop: str
) -> dict[str, NDArray[np.uint8]]:
    """Pictures (size, size, 3) of references, by id.

    A reference is left out if its path now leads to no picture, or to another one. A reference
    without a path is searched for among all photos.

    Args:
        paths: where the picture of each reference was, by id; "" if unknown.
        photos: the photos of the build, from `find`.
        size: side of the thumbnails in pixels.
        crop: how a picture becomes a square.
    """
    ids, wanted = list(paths), set(paths.values())
    by_picture = ByPicture(ids)
    found: dict[str, NDArray[np.uint8]] = {}
    for photo in photos:
        if not wanted & {photo.name, ""}:
            continue
        try:
            content = read(photo)
            same = (ids[place] for place in by_picture.places(content))
            ours = [one for one in same if paths[one] in (photo.name, "")]
            if ours:
                found |= dict.fromkeys(ours, square(decode(content), size, crop))
        except PictureError:
            continue
    return found
