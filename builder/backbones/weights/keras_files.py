"""The weights of a MobileNet from a Keras file, with or without a top."""

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
    """Check the name of a weights file.

    Raises:
        InputError: there is no such file, or its extension is not one of Keras'.
    """
    if not path.is_file():
        raise InputError(
            f"the weights file {path} does not exist or is not a file", "file-not-found"
        )
    if path.suffix not in _ENDINGS:
        raise InputError(
            f"weights must be .weights.h5, .h5 or .keras, not {path.name}", "not-a-keras-file"
        )


def with_weights(family: Family, alpha: float, size: int, path: Path) -> keras.Model:
    """The network with the weights in a file, which may include a top.

    Args:
        family: the kind of network.
        alpha: its width.
        size: side of its input.
        path: `.weights.h5` or `.keras` of Keras 3, or a legacy `.h5` of weights or a model.

    Raises:
        InputError: the file holds another network; the message names both.
    """
    net = network(family, alpha, size)
    # Keras leaves a layer missing from the file at its random weights, at most with a warning. So
    # set all weights to NaN first: any that remain NaN were not in the file.
    net.set_weights([np.full_like(weight, np.nan) for weight in net.get_weights()])
    legacy = path.suffix == ".h5" and not path.name.endswith(".weights.h5")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Loading by name allows a legacy file to have a top; Keras 3's files may have one.
            net.load_weights(path, **({"by_name": True} if legacy else {}))
        complete = not any(np.isnan(weight).any() for weight in net.get_weights())
    except (ValueError, KeyError, TypeError, OSError):
        complete = False  # Keras' message has a line for each layer; ours is below
    if not complete:
        raise InputError(
            f"{path.name} holds {_contents(path)}, not {family.named(alpha)}", "wrong-weights"
        )
    return net


def _contents(path: Path) -> str:
    """Which network's weights a file holds, judged by the shapes of its depthwise kernels."""
    if not (found := _depthwise(path)):
        return "no readable weights"
    for family in FAMILIES.values():
        for alpha in family.alphas:
            weights = network(family, alpha, SMALLEST).weights
            shapes = sorted(s for s in (tuple(w.shape) for w in weights) if _is_depthwise(s))
            if shapes == found:
                return f"the weights of {family.named(alpha)}"
            if len(shapes) != len(found):
                break  # another family, whatever the width
    return "the weights of another network"


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
