"""A name becomes a feature extractor: a Keras model from pixels 0..255 to an embedding."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError, first_line
from .mobilenets import FAMILIES, imagenet, network, with_weights
from .references import References
from .spec import Spec

if TYPE_CHECKING:
    import keras

BUNDLED_ALPHA, BUNDLED_SIZE = 0.5, 96
BUNDLED = f"mobilenet_v2_{BUNDLED_ALPHA}_{BUNDLED_SIZE}.npz"
_PIXELS_SIZE = 32
BACKBONES = ("auto", "bundled", "pixels", *FAMILIES)


@dataclass(frozen=True, kw_only=True, eq=False)
class Backbone:
    """A feature extractor that is ready to run.

    Attributes:
        name: as in `Spec.backbone`, never `auto`.
        model: Keras model, (batch, size, size, 3) float pixels 0..255 to (batch, d).
        input_range: the pixels the network itself wants; the model rescales to it.
        weights: where the weights came from, in words; "" where there are none.
        weights_sha256: hash of the weights file; "" where Keras keeps it or there is none.
        alpha: width of a MobileNet, or None.
        why: what `auto` decided and what the other choice would take; "" otherwise.
    """

    name: str
    model: keras.Model
    input_range: str = "0..255"
    weights: str = ""
    weights_sha256: str = ""
    alpha: float | None = None
    why: str = ""

    @property
    def size(self) -> int:
        """Side of the square input in pixels."""
        return int(self.model.input_shape[1])

    @property
    def dim(self) -> int:
        """Length d of the embedding."""
        return int(self.model.output_shape[-1])

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
        digest = hashlib.sha256()
        for weight in self.model.get_weights():
            digest.update(f"{weight.dtype}{weight.shape}".encode())
            digest.update(weight.tobytes())
        return digest.hexdigest()


def load_backbone(spec: Spec) -> Backbone:
    """Load the backbone that a spec names.

    Raises:
        InputError: unknown name, weights that cannot be had or do not fit, or a `.keras` file that
            is no feature extractor.
    """
    if spec.backbone.endswith(".keras"):
        return _own(Path(spec.backbone), spec)
    if spec.input_range != "0..255":
        raise InputError("an input range goes with a .keras backbone; the named ones know theirs")
    if spec.backbone in FAMILIES:
        return _mobilenet(spec.backbone, spec)
    if spec.backbone == "auto":
        return _auto(spec)
    if spec.backbone not in BACKBONES:
        names = ", ".join(BACKBONES)
        raise InputError(
            f"unknown backbone {spec.backbone!r}; choose from {names} or a .keras file"
        )
    for option, value in (("weights", spec.weights), ("alpha", spec.alpha)):
        if value is not None:
            raise InputError(f"{option} {value} does not go with the backbone {spec.backbone!r}")
    return _bundled(spec) if spec.backbone == "bundled" else _pixels(spec)


def backbone_of(references: References, spec: Spec) -> Backbone | None:
    """The backbone that embedded the references; None for vectors of another origin.

    Args:
        references: stored examples.
        spec: `backbone` `auto` for the one that the references name, else it must be the same;
            `weights` where they came from a file.

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
    found = load_backbone(same)
    if (found.sha256(), found.size) != (origin.sha256, origin.size):
        raise InputError(
            f"the references come from another backbone, {theirs} with the weights"
            f" {origin.sha256[:12]}, not {found.sha256()[:12]} at {found.size}"
        )
    return found


def _auto(spec: Spec) -> Backbone:
    if spec.weights is not None or spec.alpha is not None:
        return _mobilenet("mobilenet_v2", spec)
    try:
        found = _mobilenet("mobilenet_v2", spec)
    except InputError:
        why = (
            "auto took 'bundled', as Keras neither has ImageNet weights nor could download them;"
            " online, --backbone mobilenet_v2 fetches 9 MB once and is more accurate"
        )
        return replace(_bundled(spec), why=why)
    why = (
        "auto took 'mobilenet_v2' with ImageNet weights;"
        " --backbone bundled is smaller, faster and less accurate"
    )
    return replace(found, why=why)


def _bundled(spec: Spec) -> Backbone:
    content = files("pocketknn.builder").joinpath("bundled", BUNDLED).read_bytes()
    net = network(FAMILIES["mobilenet_v2"], BUNDLED_ALPHA, spec.size or BUNDLED_SIZE)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        for layer in net.layers:
            names = [f"{layer.name}/{variable.name}" for variable in layer.weights]
            layer.set_weights([arrays[name].astype(np.float32) for name in names])
    return Backbone(
        name="bundled",
        model=_from_pixels(net, "-1..1"),
        input_range="-1..1",
        weights=BUNDLED,
        weights_sha256=hashlib.sha256(content).hexdigest(),
        alpha=BUNDLED_ALPHA,
    )


def _pixels(spec: Spec) -> Backbone:
    import keras

    size = spec.size or _PIXELS_SIZE
    image = keras.Input((size, size, 3), name="image")
    # No rescaling: a cosine does not see it, and 0..255 is exact in float16, 1/255 is not.
    flat = keras.layers.Flatten()(image)
    return Backbone(name="pixels", model=keras.Model(image, flat, name="backbone"))


def _mobilenet(name: str, spec: Spec) -> Backbone:
    family = FAMILIES[name]
    alpha, size = spec.alpha or 1.0, spec.size or 224
    if spec.weights is None:
        net, source, sha256 = imagenet(family, alpha, size), "ImageNet, from Keras", ""
    else:
        net, source = with_weights(family, alpha, size, spec.weights), spec.weights.name
        sha256 = hashlib.sha256(spec.weights.read_bytes()).hexdigest()
    return Backbone(
        name=name,
        model=_from_pixels(net, family.input_range),
        input_range=family.input_range,
        weights=source,
        weights_sha256=sha256,
        alpha=alpha,
    )


def _own(path: Path, spec: Spec) -> Backbone:
    import keras

    for option, value in (("weights", spec.weights), ("alpha", spec.alpha)):
        if value is not None:
            raise InputError(f"{option} {value} does not go with a .keras backbone")
    if not path.is_file():
        raise InputError(f"the backbone {path} does not exist or is no file")
    try:
        net = keras.saving.load_model(path, compile=False, safe_mode=True)
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
    return Backbone(
        name=path.name,
        model=_from_pixels(net, spec.input_range, sides.pop()),
        input_range=spec.input_range,
        weights=path.name,
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


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
