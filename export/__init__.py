"""Write a graph as Keras, TFLite, Core ML and ONNX; run each file; hand over what agrees."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .artefact import FORMATS as FORMATS
    from .artefact import Artefact as Artefact
    from .artefact import load as load
    from .handover import Export as Export
    from .handover import Written as Written
    from .handover import export as export
    from .parity import Parity as Parity
    from .parity import check as check

_HOME = {
    "Artefact": "artefact",
    "Export": "handover",
    "FORMATS": "artefact",
    "Parity": "parity",
    "Written": "handover",
    "check": "parity",
    "export": "handover",
    "load": "artefact",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name when it is first asked for: `pocketknn --help` needs none."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
