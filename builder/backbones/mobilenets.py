"""Keras' MobileNets by name, and their weights: downloaded, or read from any file that has them."""

from __future__ import annotations

import io
import socket
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pocketknn.builder.errors import InputError

from .keras_downloads import SECONDS, address, check_reachable, fetched, no_download

if TYPE_CHECKING:
    import keras

_SMALLEST = 32
_ENDINGS = (".h5", ".keras")


class Family(NamedTuple):
    """One of Keras' MobileNets.

    Attributes:
        title: its class in `keras.applications`.
        input_range: the pixels it wants.
        alphas: the widths that ImageNet weights exist for.
    """

    title: str
    input_range: str
    alphas: tuple[float, ...]

    def named(self, alpha: float) -> str:
        """How messages call a member of the family."""
        return f"{self.title} with alpha {alpha:g}"


FAMILIES = {
    "mobilenet": Family("MobileNet", "-1..1", (0.25, 0.5, 0.75, 1.0)),
    "mobilenet_v2": Family("MobileNetV2", "-1..1", (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)),
    "mobilenet_v3_small": Family("MobileNetV3Small", "0..255", (0.75, 1.0)),
    "mobilenet_v3_large": Family("MobileNetV3Large", "0..255", (0.75, 1.0)),
}


def check_size(title: str, size: int) -> None:
    """Refuse a size that the network does not take.

    Raises:
        InputError: it is too small.
    """
    if size < _SMALLEST:
        raise InputError(f"{title} needs pictures of at least {_SMALLEST} pixels, not {size}")


def check_weights(path: Path) -> None:
    """Refuse what is no weights file by its name.

    Raises:
        InputError: there is no such file, or its ending is none of Keras'.
    """
    if not path.is_file():
        raise InputError(f"the weights file {path} does not exist or is no file")
    if path.suffix not in _ENDINGS:
        raise InputError(f"weights are read from .weights.h5, .h5 or .keras, not {path.name}")


def imagenet_file(family: Family, alpha: float, size: int) -> Path | None:
    """The ImageNet weights that Keras has cached; None where it has to download them.

    Raises:
        InputError: there are none for this width, or they cannot be downloaded.
    """
    if alpha not in family.alphas:
        widths = ", ".join(f"{width:g}" for width in family.alphas)
        raise InputError(
            f"there are no ImageNet weights for {family.named(alpha)}; alpha can be {widths}"
        )
    url = address(family.title, alpha, size)
    found = fetched(url)
    if found is None:
        check_reachable(url, family.named(alpha))
    return found


def imagenet(family: Family, alpha: float, size: int) -> keras.Model:
    """The network with the ImageNet weights that Keras has cached or can download.

    Raises:
        InputError: they cannot be downloaded.
    """
    with _download(family.named(alpha)):
        return network(family, alpha, size, "imagenet")


def network(family: Family, alpha: float, size: int, weights: str | None = None) -> keras.Model:
    """The network without its top, pooled; with random weights when `weights` is None."""
    import keras

    return getattr(keras.applications, family.title)(
        input_shape=(size, size, 3),
        alpha=alpha,
        include_top=False,
        weights=weights,
        pooling="avg",
    )


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
            weights = network(family, alpha, _SMALLEST).weights
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


@contextmanager
def _download(title: str) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS)
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise no_download(title) from error
    finally:
        socket.setdefaulttimeout(before)
