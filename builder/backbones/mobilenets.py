"""Keras' MobileNets, with ImageNet weights that Keras downloads, or those of a file."""

from __future__ import annotations

from functools import partial

from pocketknn.builder.backbones.networks.keras_models import from_pixels
from pocketknn.builder.backbones.networks.mobilenets import FAMILIES, check_size
from pocketknn.builder.backbones.weights import keras_downloads, keras_files
from pocketknn.builder.backbones.weights.info_cache import known, sha256_of
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import Cache

from .backbone import Backbone


def load(name: str, spec: Spec, cache: Cache | None = None) -> Backbone:
    """A member of a family.

    Raises:
        InputError: there are no weights for its width, they cannot be downloaded, a file holds
            those of another network, or the size is too small.
    """
    family = FAMILIES[name]
    alpha, size = spec.alpha or 1.0, spec.size or 224
    check_size(family.title, size)
    if spec.weights is None:
        file, source = keras_downloads.imagenet_file(family, alpha, size), "ImageNet, from Keras"
        opened = partial(keras_downloads.imagenet, family, alpha, size)
    else:
        keras_files.check_name(spec.weights)
        file, source = spec.weights, spec.weights.name
        opened = partial(keras_files.with_weights, family, alpha, size, spec.weights)
    sha256 = sha256_of(file) if file else ""
    facts, model = known(
        [name, alpha, size, sha256] if file else None,
        lambda: from_pixels(opened(), family.input_range),
        cache,
    )
    return Backbone(
        name=name,
        facts=facts,
        load=model,
        input_range=family.input_range,
        weights=source,
        weights_sha256=sha256 if spec.weights else "",
        alpha=alpha,
    )
