"""Build one Keras graph that is a k-nearest-neighbour image model."""

from __future__ import annotations

from importlib import import_module

from pocketknn.builder.system.offline import send_nothing
from pocketknn.builder.system.renamed import find_renamed

# Not imported from typing, which takes longer than all else here: the command line imports this
# package before it handles Ctrl-C.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from pocketknn.builder.backbones.backbone import Backbone as Backbone
    from pocketknn.builder.backbones.load import load_backbone as load_backbone
    from pocketknn.builder.embedding.embedded import Embedded as Embedded
    from pocketknn.builder.embedding.local import embed as embed
    from pocketknn.builder.graph.build import build as build
    from pocketknn.builder.knn.classifier import KNNClassifier as KNNClassifier
    from pocketknn.builder.photos.find import find as find
    from pocketknn.builder.photos.photo import Photo as Photo
    from pocketknn.builder.references.references import References as References

    from .errors import InputError as InputError
    from .spec import Spec as Spec

send_nothing()
find_renamed()

_HOME = {
    "Backbone": "backbones.backbone",
    "Embedded": "embedding.embedded",
    "InputError": "errors",
    "KNNClassifier": "knn.classifier",
    "Photo": "photos.photo",
    "References": "references.references",
    "Spec": "spec",
    "build": "graph.build",
    "embed": "embedding.local",
    "find": "photos.find",
    "load_backbone": "backbones.load",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name on first use: numpy alone takes a tenth of a second."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
