"""Photos as a model sees them, decoded once as long as there is room for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .decode import pixels
from .photo import Photo

_ROOM = 32 << 20  # bytes: 1,200 photos at 96 pixels, 220 at 224


class Squares:
    """The squares of some photos, each of which has a name and a label of its own."""

    def __init__(self, size: int, crop: str) -> None:
        """Hold none yet.

        Args:
            size: side of a square in pixels.
            crop: how a photo becomes a square.
        """
        self._size, self._crop, self._kept = size, crop, dict[Photo, NDArray[np.uint8]]()
        self._most = _ROOM // (size * size * 3)

    def keep(self, photo: Photo, square: NDArray[np.uint8]) -> None:
        """Hold the square (size, size, 3) of a photo, if there is room."""
        if len(self._kept) < self._most:
            self._kept[photo] = square

    def of(self, photo: Photo) -> NDArray[np.uint8]:
        """The square (size, size, 3) of a photo, which is decoded where it is not held.

        Raises:
            PictureError: it cannot be read, or is no picture.
        """
        if photo not in self._kept:
            square = pixels(photo, self._size, self._crop)
            self.keep(photo, square)
            return square
        return self._kept[photo]
