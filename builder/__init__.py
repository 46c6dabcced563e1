"""Build one Keras graph that is a k-nearest-neighbour image model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .offline import send_nothing

if TYPE_CHECKING:
    from .backbone import Backbone as Backbone
    from .backbone import load_backbone as load_backbone
    from .classifier import KNNClassifier as KNNClassifier
    from .embedding import Embedded as Embedded
    from .embedding import embed as embed
    from .errors import InputError as InputError
    from .images import Photo as Photo
    from .model import build as build
    from .references import References as References
    from .sources import find as find
    from .spec import Spec as Spec

send_nothing()

_HOME = {
    "Backbone": "backbone",
    "Embedded": "embedding",
    "InputError": "errors",
    "KNNClassifier": "classifier",
    "Photo": "images",
    "References": "references",
    "Spec": "spec",
    "build": "model",
    "embed": "embedding",
    "find": "sources",
    "load_backbone": "backbone",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name when it is first asked for: numpy alone takes a tenth of a second."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
