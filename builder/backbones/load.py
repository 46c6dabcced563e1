"""A name becomes a feature extractor: from pixels 0..255 to an embedding."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.embedding.engine import Engine, open_engine
from pocketknn.builder.errors import OF_THE_MACHINE, InputError, first_line
from pocketknn.builder.photos.readers import check_file
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import USUAL, Cache

from . import bundled, imagenet_weights, weightless_graphs
from .efficientnet_lite import DIM, LITES, attribution
from .efficientnet_lite import network as lite_network
from .info_cache import Facts, Key, hash_of, recall, remember
from .layer_names import fresh_names
from .mobilenets import (
    FAMILIES,
    check_size,
    check_weights,
    imagenet,
    imagenet_file,
    network,
    with_weights,
)

if TYPE_CHECKING:
    import keras

Load = Callable[[], "keras.Model"]
_PIXELS_SIZE = 32
_AUTO = "efficientnet_lite0"
PACKAGED = ("bundled", "pixels", *LITES)  # whose weights, if any, come with a Python package
BACKBONES = ("auto", *PACKAGED, *FAMILIES)


@dataclass(frozen=True, kw_only=True, eq=False)
class Backbone:
    """A feature extractor. It is opened when it is needed: by Keras for `model`, else by `engine`.

    Attributes:
        name: as in `Spec.backbone`, never `auto`.
        facts: size, length of the embedding, hash of the weights.
        load: gives the Keras model.
        graph: gives the network for LiteRT; None where it has to be converted from the Keras model.
        by_keras: Keras runs it, not LiteRT.
        input_range: the pixels the network itself wants; the model rescales to it.
        weights: where the weights came from, in words; "" where there are none.
        weights_sha256: hash of the weights file; "" where Keras keeps it or there is none.
        alpha: width of a MobileNet, or None.
        attribution: whose the weights are and under which licence, for all files that hold them;
            "" where that asks for nothing.
        why: what `auto` decided and what the other choice would take; "" otherwise.
        cache: keeps what is made of it once, for other runtimes; None keeps nothing.
    """

    name: str
    facts: Facts
    load: Load = field(repr=False)
    graph: Callable[[], bytes] | None = field(default=None, repr=False)
    by_keras: bool = False
    input_range: str = "0..255"
    weights: str = ""
    weights_sha256: str = ""
    alpha: float | None = None
    attribution: str = ""
    why: str = ""
    cache: Cache | None = field(default=USUAL, repr=False)

    @classmethod
    def of(cls, name: str, model: keras.Model) -> Backbone:
        """A Keras model that is open, (batch, size, size, 3) pixels 0..255 to (batch, d)."""
        return cls(name=name, facts=Facts.of(model), load=lambda: model, by_keras=True)

    @cached_property
    def model(self) -> keras.Model:
        """Keras model, (batch, size, size, 3) float pixels 0..255 to (batch, d).

        Raises:
            InputError: as `load_backbone`, where it has not opened the model itself.
        """
        with fresh_names():
            return self.load()

    @cached_property
    def engine(self) -> Engine:
        """What computes embeddings."""
        return open_engine(self)

    @property
    def size(self) -> int:
        """Side of the square input in pixels."""
        return self.facts.size

    @property
    def dim(self) -> int:
        """Length d of the embedding."""
        return self.facts.dim

    def identity(self) -> list[str | int | float | None]:
        """All that decides what the embedding of a square picture is."""
        return [
            self.name,
            self.size,
            self.alpha,
            self.input_range,
            self.weights_sha256,
            self.sha256(),
        ]

    def sha256(self) -> str:
        """Hash of all weights by value: the same numbers give the same hash in any file format."""
        return self.facts.sha256


def load_backbone(spec: Spec, cache: Cache | None = USUAL) -> Backbone:
    """Load the backbone that a spec names.

    Args:
        spec: names it.
        cache: keeps what is found out about it and made of it once; None keeps nothing.

    Raises:
        InputError: unknown name, weights that cannot be had or do not fit, or a `.keras` file that
            is no feature extractor.
    """
    return replace(_load(spec, cache), cache=cache)


def _load(spec: Spec, cache: Cache | None) -> Backbone:
    if spec.backbone.endswith(".keras"):
        return _own(Path(spec.backbone), spec, cache)
    if spec.input_range != "0..255":
        raise InputError("an input range goes with a .keras backbone; the named ones know theirs")
    if spec.backbone in FAMILIES:
        return _mobilenet(spec.backbone, spec, cache)
    if spec.backbone == "auto":
        return _auto(spec, cache)
    if spec.backbone not in BACKBONES:
        names = ", ".join(BACKBONES)
        raise InputError(
            f"unknown backbone {spec.backbone!r}; choose from {names} or a .keras file"
        )
    if spec.backbone in LITES:
        _refuse(spec, "alpha", f"the backbone {spec.backbone!r}")
        return _lite(spec.backbone, spec)
    _refuse(spec, "weights", f"the backbone {spec.backbone!r}")
    _refuse(spec, "alpha", f"the backbone {spec.backbone!r}")
    return _bundled(spec) if spec.backbone == "bundled" else _pixels(spec)


def is_installed(name: str) -> bool:
    """Whether a backbone can be loaded by its name alone, without a network."""
    if name in LITES:
        return imagenet_weights.find(LITES[name]) is not None
    return name in PACKAGED


def backbone_of(references: References, spec: Spec, cache: Cache | None = USUAL) -> Backbone | None:
    """The backbone that embedded the references; None for vectors of another origin.

    Args:
        references: stored examples.
        spec: `backbone` `auto` for the one that the references name, else it must be the same;
            `weights` where they came from a file.
        cache: as for `load_backbone`.

    Raises:
        InputError: it cannot be loaded, or is not the one that embedded them.
    """
    origin = references.provenance
    if origin is None:
        if spec.backbone not in ("auto", "vector"):
            raise InputError(f"the references name no backbone, so {spec.backbone!r} cannot embed")
        return None
    if spec.backbone == "auto":
        named = origin.backbone in FAMILIES
        spec = replace(spec, backbone=origin.backbone, alpha=origin.alpha if named else None)
    same = replace(
        spec,
        size=spec.size or origin.size,
        input_range=origin.input_range if spec.backbone.endswith(".keras") else "0..255",
    )
    theirs = f"{origin.backbone} at {origin.size}"
    if not spec.backbone.endswith(".keras") and spec.backbone != origin.backbone:
        raise InputError(
            f"the references come from another backbone, {theirs}, not {spec.backbone}"
        )
    found = load_backbone(same, cache)
    if (found.sha256(), found.size) != (origin.sha256, origin.size):
        raise InputError(
            f"the references come from another backbone, {theirs} with the weights"
            f" {origin.sha256[:12]}, not {found.sha256()[:12]} at {found.size}"
        )
    return found


def _auto(spec: Spec, cache: Cache | None) -> Backbone:
    if spec.weights is not None or spec.alpha is not None:
        return _mobilenet("mobilenet_v2", spec, cache)
    if is_installed(_AUTO):
        why = f"auto took {_AUTO!r}; --backbone bundled is smaller, faster and less accurate"
        return replace(_lite(_AUTO, spec), why=why)
    package = LITES[_AUTO].package
    why = f"auto took 'bundled'; pip install {package} makes it {_AUTO!r}, which is more accurate"
    return replace(_bundled(spec), why=why)


def _bundled(spec: Spec) -> Backbone:
    family, size = FAMILIES["mobilenet_v2"], spec.size or bundled.SIZE
    check_size(family.title, size)
    arrays = bundled.weights()
    net = partial(network, family, bundled.ALPHA, size)
    return Backbone(
        name="bundled",
        facts=Facts(size, bundled.DIM, hash_of(arrays.values())),
        load=lambda: _from_pixels(_with_arrays(net(), arrays), family.input_range),
        graph=lambda: weightless_graphs.filled(bundled.GRAPH, arrays),
        input_range=family.input_range,
        weights=bundled.WEIGHTS,
        weights_sha256=hashlib.sha256(bundled.content()).hexdigest(),
        alpha=bundled.ALPHA,
    )


def _lite(name: str, spec: Spec) -> Backbone:
    lite = LITES[name]
    size = spec.size or lite.size
    check_size(name, size)
    file = spec.weights or imagenet_weights.file_of(name, lite)
    arrays = imagenet_weights.read(file, name, lite)
    return Backbone(
        name=name,
        facts=Facts(size, DIM, hash_of(arrays.values())),
        load=lambda: _from_pixels(_with_arrays(lite_network(lite, size), arrays), "0..255"),
        graph=lambda: weightless_graphs.filled(f"{name}.tflite", arrays),
        weights=f"ImageNet, from {lite.package}",
        weights_sha256=lite.sha256,
        attribution=attribution(name),
    )


def _with_arrays(net: keras.Model, arrays: dict[str, NDArray[np.float32]]) -> keras.Model:
    """The network with weights by `layer/variable`."""
    for layer in net.layers:
        layer.set_weights([arrays[f"{layer.name}/{one.name}"] for one in layer.weights])
    return net


def _pixels(spec: Spec) -> Backbone:
    size = spec.size or _PIXELS_SIZE

    def load() -> keras.Model:
        import keras

        image = keras.Input((size, size, 3), name="image")
        # No rescaling: a cosine does not see it, and 0..255 is exact in float16, 1/255 is not.
        return keras.Model(image, keras.layers.Flatten()(image), name="backbone")

    return Backbone(name="pixels", facts=Facts(size, size * size * 3, hash_of([])), load=load)


def _mobilenet(name: str, spec: Spec, cache: Cache | None) -> Backbone:
    family = FAMILIES[name]
    alpha, size = spec.alpha or 1.0, spec.size or 224
    check_size(family.title, size)
    if spec.weights is None:
        file, source = imagenet_file(family, alpha, size), "ImageNet, from Keras"
    else:
        check_weights(spec.weights)
        file, source = spec.weights, spec.weights.name
    sha256 = _sha256(file) if file else ""

    def load() -> keras.Model:
        if spec.weights is None:
            net = imagenet(family, alpha, size)
        else:
            net = with_weights(family, alpha, size, spec.weights)
        return _from_pixels(net, family.input_range)

    facts, load = _known([name, alpha, size, sha256] if file else None, load, cache)
    return Backbone(
        name=name,
        facts=facts,
        load=load,
        input_range=family.input_range,
        weights=source,
        weights_sha256=sha256 if spec.weights else "",
        alpha=alpha,
    )


def _own(path: Path, spec: Spec, cache: Cache | None) -> Backbone:
    _refuse(spec, "weights", "a .keras backbone")
    _refuse(spec, "alpha", "a .keras backbone")
    if not path.is_file():
        raise InputError(f"the backbone {path} does not exist or is no file")
    sha256 = _sha256(path)
    key = [".keras", spec.input_range, spec.size, sha256]
    facts, load = _known(key, lambda: _opened(path, spec), cache)
    return Backbone(
        name=path.name,
        facts=facts,
        load=load,
        input_range=spec.input_range,
        weights=path.name,
        weights_sha256=sha256,
    )


def _opened(path: Path, spec: Spec) -> keras.Model:
    import keras

    try:
        net = keras.saving.load_model(path, compile=False, safe_mode=True)
    except OF_THE_MACHINE:
        raise
    except Exception as error:  # whatever a broken or foreign archive raises inside Keras
        reason = first_line(error)
        raise InputError(f"{path.name} cannot be opened by Keras in safe mode: {reason}") from error
    shape, out = getattr(net, "input_shape", None), getattr(net, "output_shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 4 and shape[-1] == 3):
        raise InputError(f"{path.name} must have one image input (batch, H, W, 3), not {shape}")
    if not (isinstance(out, tuple) and len(out) == 2 and out[-1]):
        raise InputError(f"{path.name} must have one vector output (batch, d), not {out}")
    sides = {side for side in shape[1:3] if side is not None}
    if spec.size is not None:
        sides.add(spec.size)
    if len(sides) != 1:
        what = "say which with --size" if not sides else f"the sizes {sorted(sides)} do not agree"
        raise InputError(f"{path.name} must take square pictures of one size: {what}")
    return _from_pixels(net, spec.input_range, sides.pop())


def _known(key: Key | None, load: Load, cache: Cache | None) -> tuple[Facts, Load]:
    """The facts of a file and how to open it: what is remembered of it spares Keras for now.

    Args:
        key: what the facts follow from, the hash of the file among it; None remembers nothing.
        load: opens the file, and refuses what is no backbone.
        cache: remembers it.
    """
    if key and (facts := recall(key, cache)):
        return facts, load
    model = load()
    facts = Facts.of(model)
    if key:
        remember(key, facts, cache)
    return facts, lambda: model


def _refuse(spec: Spec, option: str, what: str) -> None:
    if (value := getattr(spec, option)) is not None:
        raise InputError(f"{option} {value} does not go with {what}")


def _sha256(path: Path) -> str:
    check_file(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _from_pixels(net: keras.Model, input_range: str, size: int | None = None) -> keras.Model:
    """The same network, taking pixels 0..255 of a fixed size, in a model named "backbone"."""
    import keras

    scale, offset = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (1 / 127.5, -1.0)}[
        input_range
    ]
    size = size or net.input_shape[1]
    image = keras.Input((size, size, 3), name="image")
    pixels = image if scale == 1.0 else keras.layers.Rescaling(scale, offset)(image)
    return keras.Model(image, net(pixels), name="backbone")
