"""Write a graph as Keras, TFLite, Core ML and ONNX files, run each, and keep those that agree."""

from __future__ import annotations

from importlib import import_module

from pocketknn.builder.system.renamed import find_renamed

TYPE_CHECKING = False  # as in pocketknn.builder

if TYPE_CHECKING:
    from typing import Any

    from pocketknn.export.analysis.verification import Verification as Verification
    from pocketknn.export.analysis.verification import verify as verify
    from pocketknn.export.formats.table import FORMATS as FORMATS
    from pocketknn.export.manifest.artefact import Artefact as Artefact
    from pocketknn.export.manifest.artefact import load as load
    from pocketknn.export.parity.check import Parity as Parity
    from pocketknn.export.parity.check import check as check
    from pocketknn.export.pipeline.export import Export as Export
    from pocketknn.export.pipeline.export import export as export
    from pocketknn.export.pipeline.write import Written as Written

find_renamed()

_HOME = {
    "Artefact": "manifest.artefact",
    "Export": "pipeline.export",
    "FORMATS": "formats.table",
    "Parity": "parity.check",
    "Verification": "analysis.verification",
    "Written": "pipeline.write",
    "check": "parity.check",
    "export": "pipeline.export",
    "load": "manifest.artefact",
    "verify": "analysis.verification",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name on first use, so that `pocketknn --help` stays fast."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
