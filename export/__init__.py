"""Write a graph as Keras, TFLite, Core ML and ONNX; run each file; hand over what agrees."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pocketknn.export.formats.table import FORMATS as FORMATS
    from pocketknn.export.manifest.artefact import Artefact as Artefact
    from pocketknn.export.manifest.artefact import load as load
    from pocketknn.export.parity.check import Parity as Parity
    from pocketknn.export.parity.check import check as check

    from .pipeline import Export as Export
    from .pipeline import Written as Written
    from .pipeline import export as export

_HOME = {
    "Artefact": "manifest.artefact",
    "Export": "pipeline",
    "FORMATS": "formats.table",
    "Parity": "parity.check",
    "Written": "pipeline",
    "check": "parity.check",
    "export": "pipeline",
    "load": "manifest.artefact",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name when it is first asked for: `pocketknn --help` needs none."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
