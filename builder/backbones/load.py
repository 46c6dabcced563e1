"""A name becomes a backbone: the table of those that there are."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from pocketknn.builder.errors import InputError
from pocketknn.builder.spec import Spec

from . import auto, bundled, efficientnet_lite, mobilenets, own_keras, pixels
from .backbone import Backbone as Backbone
from .networks.efficientnet_lite import LITES
from .networks.mobilenets import FAMILIES
from .provenance import Provenance


class Kind(Protocol):
    """What the file of a backbone, or of a family of them, says.

    Attributes:
        TAKES: the options of a `Spec` that choose among them: `alpha`, `weights`, `input_range`.
        PACKAGED: their weights, if any, come with a Python package.
    """

    TAKES: frozenset[str]
    PACKAGED: bool

    def load(self, name: str, spec: Spec) -> Backbone:
        """The backbone of this name.

        Raises:
            InputError: its weights cannot be had or do not fit.
        """

    def is_installed(self, name: str) -> bool:
        """Whether it can be loaded by its name alone, without a network."""


BACKBONES: dict[str, Kind] = {
    "auto": auto,
    "bundled": bundled,
    "pixels": pixels,
    **dict.fromkeys(LITES, efficientnet_lite),
    **dict.fromkeys(FAMILIES, mobilenets),
}
PACKAGED = tuple(name for name, kind in BACKBONES.items() if kind.PACKAGED)


class _Embedded(Protocol):
    """References, or whatever else knows where its embeddings come from."""

    @property
    def provenance(self) -> Provenance | None: ...


def load_backbone(spec: Spec) -> Backbone:
    """Load the backbone that a spec names.

    Raises:
        InputError: unknown name, weights that cannot be had or do not fit, or a `.keras` file that
            is no feature extractor.
    """
    is_own = spec.backbone.endswith(".keras")
    if spec.input_range != "0..255" and not is_own:
        raise InputError("an input range goes with a .keras backbone; the named ones know theirs")
    kind: Kind | None = own_keras if is_own else BACKBONES.get(spec.backbone)
    if kind is None:
        names = ", ".join(BACKBONES)
        raise InputError(
            f"unknown backbone {spec.backbone!r}; choose from {names} or a .keras file"
        )
    for option in ("weights", "alpha"):
        if (value := getattr(spec, option)) is not None and option not in kind.TAKES:
            what = "a .keras backbone" if is_own else f"the backbone {spec.backbone!r}"
            raise InputError(f"{option} {value} does not go with {what}")
    return kind.load(spec.backbone, spec)


def is_installed(name: str) -> bool:
    """Whether a backbone can be loaded by its name alone, without a network."""
    return name in BACKBONES and BACKBONES[name].is_installed(name)


def backbone_of(references: _Embedded, spec: Spec) -> Backbone | None:
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
        kind = BACKBONES.get(origin.backbone)
        alpha = origin.alpha if kind is not None and "alpha" in kind.TAKES else None
        spec = replace(spec, backbone=origin.backbone, alpha=alpha)
    is_own = spec.backbone.endswith(".keras")
    same = replace(
        spec,
        size=spec.size or origin.size,
        input_range=origin.input_range if is_own else "0..255",
    )
    theirs = f"{origin.backbone} at {origin.size}"
    if not is_own and spec.backbone != origin.backbone:
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
