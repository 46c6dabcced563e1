"""Read a build back: its references, projection, backbone and choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones import load as backbones
from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.backbones.load import is_available, is_installed
from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.embedding.local import run
from pocketknn.builder.errors import OF_THE_MACHINE, InputError, first_line
from pocketknn.builder.knn import exact
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.index.choose import index_again
from pocketknn.builder.knn.metric_space import Space
from pocketknn.builder.knn.projection.pca import Projection
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import Spec
from pocketknn.export.formats.files import paths_of
from pocketknn.export.formats.keras import apart
from pocketknn.export.formats.requirements import is_there, reason
from pocketknn.export.output.checksums import digest
from pocketknn.export.output.names import MODEL, REFERENCES

from .metadata import manifest_of, spec_of
from .read_back import projection_of

if TYPE_CHECKING:
    import keras

_KERAS = f"{MODEL}.keras"
# Maps pictures (q, H, W, 3) and the row of a reference to exact scores (q,).
Scorer = Callable[[NDArray[np.uint8], int], Floats]


@dataclass(frozen=True, kw_only=True, eq=False)
class Build:
    """A build, and what was read back from it.

    Attributes:
        manifest: its manifest.
        references: the references in references.parquet.
        projection: the graph's projection; None if embeddings are compared directly.
        backbone: the graph's backbone; None for a model of feature vectors.
        source: where projection and backbone come from, in words.
    """

    manifest: Mapping[str, Any]
    references: References
    projection: Projection | None
    backbone: Backbone | None
    source: str

    @property
    def space(self) -> Space:
        """The references under metric and projection."""
        return Space(
            references=self.references,
            metric=self.manifest["metric"],
            projection=self.projection,
            seed=self.manifest["seed"],
        )

    @cached_property
    def fit(self) -> Fit:
        """The choices fitted to the references, with the index of the build."""
        spec, space, search = spec_of(self.manifest), self.space, self.manifest["search"]
        k = min(int(self.manifest["k"]), len(self.references))
        index = index_again(spec, space, k, search["components"])
        return Fit(spec=spec, space=space, index=index)


def reopen(out: Path, manifest: Mapping[str, Any]) -> Build:
    """Open a build's folder again.

    Backbone and projection come from model.keras, but a packaged backbone, which runs without
    Keras, from its package. Without model.keras or TensorFlow, the backbone is loaded again and the
    projection read from another file.

    Args:
        out: the folder.
        manifest: the build's manifest, see `manifest_of`.

    Raises:
        InputError: something is missing, or has changed since the build.
    """
    references = References.load(out / REFERENCES)
    if (out / _KERAS).is_file() and is_there("tensorflow"):
        net, projection = _of_keras_file(out, manifest, references)
        source = _KERAS
    else:
        net = _loaded_again(out, manifest, references)
        projection, source = None, REFERENCES
        if net is not None:
            source = f"the {'packaged ' * is_installed(net.name)}backbone {net.name}"
        if manifest["projection"]:
            path = next((path for path in paths_of(out) if path.name in manifest["files"]), None)
            if path is None:
                raise InputError(f"no file of {out} holds its projection", "projection-missing")
            projection, source = projection_of(path), f"{source} and the projection of {path.name}"
    return Build(
        manifest=manifest,
        references=references,
        projection=projection,
        backbone=net,
        source=source,
    )


def scorer_of(folder: Path, inside: dict[str, Any]) -> Scorer | None:
    """A function for the exact score of any reference, even if not among the k nearest.

    Args:
        folder: the folder of a file that takes pictures.
        inside: the manifest inside that file.

    Returns:
        None unless the folder is the file's own build, complete and unchanged.
    """
    try:
        manifest = manifest_of(folder)
    except InputError:  # the file was copied elsewhere, or beside another manifest
        return None
    if any(manifest.get(key) != value for key, value in inside.items()):
        return None
    backbone = manifest["backbone"]
    loadable = is_available(backbone["name"], backbone["sha256"])
    if not loadable and not is_there("tensorflow"):
        return None
    for name in (REFERENCES, _KERAS):
        if name == _KERAS and loadable and not (folder / _KERAS).exists():
            continue
        path, listed = folder / name, manifest["files"].get(name)
        if listed is None or not path.is_file() or digest(path) != listed["sha256"]:
            return None

    def scores(pictures: NDArray[np.uint8], row: int) -> Floats:
        build = reopen(folder, manifest)
        assert build.backbone is not None
        queries = build.space.project(run(build.backbone, pictures))
        found: Floats = exact.scores(queries, build.space.rows[[row]], build.space.metric)[:, 0]
        return found

    return scores


def _loaded_again(
    out: Path, manifest: Mapping[str, Any], references: References
) -> Backbone | None:
    """The backbone of a build, loaded by its name or from the weights file that was used last."""
    if not (wanted := manifest["backbone"]):
        return None
    name, file = wanted["name"], wanted["weights"] or wanted["name"]
    if backbones.is_lost(name, wanted["weights_sha256"], wanted["sha256"]):
        path = out / _KERAS
        why = f"needs {reason(['tensorflow'])}" if path.is_file() else "is missing"
        raise InputError(
            f"the backbone cannot be loaded: it came from {file}, which is no longer where it was,"
            f" and {path} {why}",
            "backbone-missing",
        )
    found = backbones.backbone_of(references, Spec())
    if found is not None and found.sha256() != wanted["sha256"]:
        raise InputError(
            f"the backbone {name} on this machine is not the one used for {out}",
            "backbone-differs",
        )
    return found


def _of_keras_file(
    out: Path, manifest: Mapping[str, Any], references: References
) -> tuple[Backbone | None, Projection | None]:
    """The backbone and projection of model.keras, without Keras where that is possible."""
    if is_without_keras(manifest):
        with suppress(InputError):  # the package may have other weights, or the file no slots
            net = _loaded_again(out, manifest, references)
            return net, projection_of(out / _KERAS) if manifest["projection"] else None
    model = _keras_model(out)
    net = _backbone_in(out, manifest, model) if manifest["backbone"] else None
    return net, _projection_in(manifest, model)


def is_without_keras(manifest: Mapping[str, Any]) -> bool:
    """Whether embedding as a build did takes no Keras: its backbone is packaged, or it has none."""
    return manifest["backbone"] is None or is_installed(manifest["backbone"]["name"])


def _keras_model(out: Path) -> keras.Model:
    apart.end()  # Keras is imported here now
    import keras

    path = out / _KERAS
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except OF_THE_MACHINE:
        raise
    except Exception as error:  # whatever a damaged archive raises inside Keras
        raise InputError(
            f"Keras cannot open {path}: {first_line(error)}", "file-damaged"
        ) from error


def _projection_in(manifest: Mapping[str, Any], model: keras.Model) -> Projection | None:
    if not (facts := manifest["projection"]):
        return None
    kernel, bias = _layer(model, "projection").get_weights()
    return Projection(kernel=kernel, bias=bias, variance=facts["variance"], by=facts["by"])


def _backbone_in(out: Path, manifest: Mapping[str, Any], model: keras.Model) -> Backbone:
    net = Backbone.of(manifest["backbone"]["name"], _layer(model, "backbone"))
    if net.sha256() != manifest["backbone"]["sha256"]:
        raise InputError(
            f"the backbone in {out / MODEL}.keras is not the one that {out} was built with",
            "backbone-differs",
        )
    return net


def _layer(model: keras.Model, name: str) -> keras.Layer:
    try:
        return model.get_layer(name)
    except ValueError as error:
        raise InputError(
            f"model.keras lacks the layer {name!r} of its build", "file-damaged"
        ) from error
