"""The weights of a MobileNet from a file of Keras', whether that has a top or not."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pocketknn.builder.backbones.networks.mobilenets import FAMILIES, SMALLEST, Family, network
from pocketknn.builder.errors import InputError

if TYPE_CHECKING:
    import keras

_ENDINGS = (".h5", ".keras")


def check_name(path: Path) -> None:
    """Refuse what is no weights file by its name.

    Raises:
        InputError: there is no such file, or its ending is none of Keras'.
    """
    if not path.is_file():
        raise InputError(f"the weights file {path} does not exist or is no file")
    if path.suffix not in _ENDINGS:
        raise InputError(f"weights are read from .weights.h5, .h5 or .keras, not {path.name}")


def with_weights(family: Family, alpha: float, size: int, path: Path) -> keras.Model:
    """The network with the weights of a file, whether the file has a top or not.

    Args:
        family: what the network is.
        alpha: its width.
        size: side of its input.
        path: `.weights.h5` or `.keras` of Keras 3, or a legacy `.h5` of weights or a model.

    Raises:
        InputError: the file holds another network; the message names both.
    """
    net = network(family, alpha, size)
    # Keras leaves a layer that the file lacks at its random weights, with a warning at most. No
    # weight is NaN by itself, so one that still is was not in the file.
    net.set_weights([np.full_like(weight, np.nan) for weight in net.get_weights()])
    legacy = path.suffix == ".h5" and not path.name.endswith(".weights.h5")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # By name a legacy file may have a top; Keras 3's files are read so in any case.
            net.load_weights(path, **({"by_name": True} if legacy else {}))
        complete = not any(np.isnan(weight).any() for weight in net.get_weights())
    except (ValueError, KeyError, TypeError, OSError):
        complete = False  # Keras says why in a line for each layer; ours comes below
    if not complete:
        raise InputError(f"{path.name} holds {_contents(path)}, not {family.named(alpha)}")
    return net


def _contents(path: Path) -> str:
    """Which network's weights a file holds, in words, by the shapes of its depthwise kernels."""
    found = _depthwise(path)
    for family in FAMILIES.values():
        for alpha in family.alphas:
            weights = network(family, alpha, SMALLEST).weights
            shapes = sorted(s for s in (tuple(w.shape) for w in weights) if _is_depthwise(s))
            if shapes == found:
                return f"the weights of {family.named(alpha)}"
            if len(shapes) != len(found):
                break  # another family, whatever the width
    return "the weights of no MobileNet" if found else "no weights that can be read"


def _depthwise(path: Path) -> list[tuple[int, ...]]:
    import h5py

    shapes: list[tuple[int, ...]] = []

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and _is_depthwise(item.shape):
            shapes.append(item.shape)

    try:
        content = path.read_bytes()
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                content = archive.read("model.weights.h5")
        with h5py.File(io.BytesIO(content)) as file:
            file.visititems(note)
    except (OSError, KeyError, zipfile.BadZipFile):
        return []
    return sorted(shapes)


def _is_depthwise(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[0] > 1 and shape[3] == 1
