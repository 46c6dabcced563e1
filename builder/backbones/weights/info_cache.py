"""Cached facts about a weights file, so that the next build need not open it with Keras."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pocketknn.builder.photos.readers import check_file
from pocketknn.builder.system.cache import Cache, key_of, mark_used, write
from pocketknn.builder.system.untrusted_json import parse_json

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

Key = Sequence[str | int | float | None]


class Facts(NamedTuple):
    """Facts about a Keras model from pixels to an embedding.

    Attributes:
        size: side of the square input in pixels.
        dim: length d of the embedding.
        sha256: hash of all weights by value.
    """

    size: int
    dim: int
    sha256: str

    @classmethod
    def of(cls, model: keras.Model) -> Facts:
        """The facts about an open model."""
        size, dim = int(model.input_shape[1]), int(model.output_shape[-1])
        return cls(size, dim, hash_of(model.get_weights()))


def hash_of(weights: Iterable[NDArray[np.generic]]) -> str:
    """Hash of weights by value: the same numbers give the same hash in any file format."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(f"{weight.dtype}{weight.shape}".encode())
        digest.update(weight.tobytes())
    return digest.hexdigest()


def known(
    key: Key | None, load: Callable[[], keras.Model], cache: Cache | None
) -> tuple[Facts, Callable[[], keras.Model]]:
    """The facts about a file, and a function that opens it; cached facts avoid opening it now.

    Args:
        key: what determines the facts, including the hash of the file; None for no cache.
        load: opens the file; raises if it is not a backbone.
        cache: stores the facts.
    """
    place = cache.drawer("facts") if cache and key else None
    path = place / f"{key_of([version('keras'), *(key or ())])}.facts" if place else None
    try:
        if path is not None:
            size, dim, sha256 = parse_json(path.read_bytes())
            mark_used(path)
            return Facts(int(size), int(dim), str(sha256)), load
    except (OSError, ValueError, TypeError):
        pass  # not cached, or unreadable
    model = load()
    facts = Facts.of(model)
    if path is not None:
        with suppress(OSError):  # without a cache folder, the next build opens the file again
            write(path, json.dumps(facts).encode())
    return facts, lambda: model


def sha256_of(path: Path) -> str:
    """Hash of a file.

    Raises:
        InputError: the file is empty, or it is a pipe or a device.
    """
    check_file(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()
