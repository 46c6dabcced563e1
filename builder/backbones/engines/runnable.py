"""What an engine runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.system.cache import Cache

if TYPE_CHECKING:
    import keras

Pictures = NDArray[np.uint8]  # (n, size, size, 3)
Vectors = NDArray[np.float32]  # (n, d)


class Runnable(Protocol):
    """What an engine needs of a `Backbone`, which says more of each."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def model(self) -> keras.Model: ...
    @property
    def graph(self) -> Callable[[], bytes] | None: ...
    @property
    def by_numpy(self) -> Callable[[Pictures], Vectors] | None: ...
    @property
    def by_keras(self) -> bool: ...
    @property
    def cache(self) -> Cache | None: ...
    def identity(self) -> list[str | int | float | None]:
        """All that decides what the embedding of a square picture is."""
