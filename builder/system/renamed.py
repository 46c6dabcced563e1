"""Modules under the names that the docs and notebooks of version 0.1 used."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

# Each with the modules that now hold its names.
RENAMED = {
    "pocketknn.builder.accuracy": ("pocketknn.builder.knn.validation.leave_one_out",),
    "pocketknn.builder.backbone": (
        "pocketknn.builder.backbones.backbone",
        "pocketknn.builder.backbones.load",
    ),
    "pocketknn.builder.classifier": ("pocketknn.builder.knn.classifier",),
    "pocketknn.builder.cluster": ("pocketknn.builder.embedding.ray.connection",),
    "pocketknn.builder.fit": ("pocketknn.builder.knn.fit", "pocketknn.builder.knn.resolve"),
    "pocketknn.builder.folds": ("pocketknn.builder.knn.validation.folds",),
    "pocketknn.builder.grid": ("pocketknn.builder.selection.grid",),
    "pocketknn.builder.images": (
        "pocketknn.builder.photos.photo",
        "pocketknn.builder.photos.pixels.decode",
    ),
    "pocketknn.builder.model": ("pocketknn.builder.graph.build", "pocketknn.builder.graph.wire"),
    "pocketknn.builder.neighbors": ("pocketknn.builder.knn.exact",),
    "pocketknn.builder.ray_engine": ("pocketknn.builder.embedding.ray.embed",),
    "pocketknn.builder.sources": ("pocketknn.builder.photos.find",),
    "pocketknn.builder.tfjs": ("pocketknn.builder.references.ml5_json",),
    "pocketknn.builder.tune": ("pocketknn.builder.selection.cross_validation",),
    "pocketknn.export.artefact": (
        "pocketknn.export.manifest.artefact",
        "pocketknn.export.formats.table",
    ),
    "pocketknn.export.handover": (
        "pocketknn.export.pipeline.export",
        "pocketknn.export.pipeline.write",
    ),
    "pocketknn.export.options": ("pocketknn.export.formats.options",),
    "pocketknn.export.quiet": ("pocketknn.export.cli.console.quiet",),
}


def find_renamed() -> None:
    """Let `import` find modules by their earlier names, with a DeprecationWarning."""
    if not any(isinstance(one, _Renamed) for one in sys.meta_path):
        sys.meta_path.append(_Renamed())


class _Renamed:
    """Finder and loader; importlib's base classes would import forty more modules at each start."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in RENAMED else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Use the default module."""

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        new = RENAMED[name]
        warnings.warn(f"{name} is now {' and '.join(new)}", DeprecationWarning, stacklevel=2)
        for one in new:
            found = vars(import_module(one)).items()
            vars(module).update((key, value) for key, value in found if not key.startswith("_"))
