"""What a build's folder still holds of the exact k-NN: the references and, in Keras, the rest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones import load as backbones
from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.backbones.load import is_installed
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
from pocketknn.export.editing.edit import projection_of
from pocketknn.export.formats.files import paths_of
from pocketknn.export.formats.requirements import is_there, reason
from pocketknn.export.output.checksums import digest
from pocketknn.export.output.names import MODEL, REFERENCES

from .metadata import manifest_of
from .spec import spec_of

if TYPE_CHECKING:
    import keras

# Pictures (q, H, W, 3) and the row of a reference to its exact scores (q,).
Scorer = Callable[[NDArray[np.uint8], int], Floats]


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What a build's files hold of the exact k-NN beside its references.

    Attributes:
        projection: of the graph; None where embeddings are compared as they are.
        backbone: of the graph; None for a model of feature vectors.
        source: where they are from, in words.
    """

    projection: Projection | None
    backbone: Backbone | None
    source: str


def parts_of(out: Path, manifest: dict[str, Any], references: References) -> Parts:
    """What model.keras holds; without it or TensorFlow, the packaged backbone and a projection.

    The projection is another file's.

    Raises:
        InputError: they cannot be had, or are not the ones that were built.
    """
    kept = out / f"{MODEL}.keras"
    if kept.is_file() and is_there("tensorflow"):
        model = _keras_model(out)
        backbone = _backbone_in(out, manifest, model) if manifest["backbone"] else None
        if backbone is not None and is_installed(backbone.name):
            with suppress(InputError):  # of other weights than these
                backbone = backbones.backbone_of(references, Spec())  # the same, by LiteRT
        return Parts(
            projection=_projection_in(manifest, model), backbone=backbone, source=f"{MODEL}.keras"
        )
    said = manifest["backbone"]
    if said is not None and not is_installed(said["name"]):
        why = f"needs {reason(['tensorflow'])}" if kept.is_file() else "is missing"
        raise InputError(
            f"the embeddings are taken from {kept}, which {why}, and the backbone {said['name']}"
            " comes with no package"
        )
    backbone = backbones.backbone_of(references, Spec()) if said else None
    if backbone is not None and backbone.sha256() != said["sha256"]:
        raise InputError(f"the backbone {said['name']} of this machine is not the one of {out}")
    source = f"the packaged backbone {said['name']}" if said else str(REFERENCES)
    if not manifest["projection"]:
        return Parts(projection=None, backbone=backbone, source=source)
    path = next((path for path in paths_of(out) if path.name in manifest["files"]), None)
    if path is None:
        raise InputError(f"no file of {out} holds its projection")
    projection = projection_of(path)
    return Parts(
        projection=projection,
        backbone=backbone,
        source=f"{source} and the projection of {path.name}",
    )


def fit_of(manifest: dict[str, Any], references: References, parts: Parts) -> Fit:
    """The choices of a build over its references."""
    spec, space = spec_of(manifest), _space(manifest, references, parts.projection)
    search, k = manifest["search"], int(manifest["k"])
    index = index_again(spec, space, k, search["components"], search["cells"])
    return Fit(spec=spec, space=space, index=index)


def _keras_model(out: Path) -> keras.Model:
    import keras

    path = out / f"{MODEL}.keras"
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except OF_THE_MACHINE:
        raise
    except Exception as error:  # whatever a damaged archive raises inside Keras
        raise InputError(f"{path} is refused by Keras: {first_line(error)}") from error


def _projection_in(manifest: dict[str, Any], model: keras.Model) -> Projection | None:
    if not (said := manifest["projection"]):
        return None
    kernel, bias = _layer(model, "projection").get_weights()
    return Projection(kernel=kernel, bias=bias, variance=said["variance"], by=said["by"])


def _space(
    manifest: dict[str, Any], references: References, projection: Projection | None
) -> Space:
    return Space(
        references=references,
        metric=manifest["metric"],
        projection=projection,
        seed=manifest["seed"],
    )


def _backbone_in(out: Path, manifest: dict[str, Any], model: keras.Model) -> Backbone:
    net = Backbone.of(manifest["backbone"]["name"], _layer(model, "backbone"))
    if net.sha256() != manifest["backbone"]["sha256"]:
        raise InputError(f"the backbone in {out / MODEL}.keras is not the one that was built")
    return net


def scorer_of(folder: Path, inside: dict[str, Any]) -> Scorer | None:
    """Exact scores of any reference, whether or not it is among the k nearest.

    Args:
        folder: where a file of pictures lies.
        inside: the manifest inside that file.

    Returns:
        None where the folder is not the build that the file comes from, whole and unchanged.
    """
    try:
        manifest = manifest_of(folder)
    except InputError:  # a file that was copied elsewhere: among other things, or another manifest
        return None
    if any(manifest.get(key) != value for key, value in inside.items()):
        return None
    kept, packaged = f"{MODEL}.keras", is_installed(manifest["backbone"]["name"])
    if not packaged and not is_there("tensorflow"):
        return None
    for name in (REFERENCES, kept):
        if name == kept and packaged and not (folder / kept).exists():
            continue
        path, listed = folder / name, manifest["files"].get(name)
        if listed is None or not path.is_file() or digest(path) != listed["sha256"]:
            return None

    def scores(pictures: NDArray[np.uint8], row: int) -> Floats:
        references = References.load(folder / REFERENCES)
        parts = parts_of(folder, manifest, references)
        assert parts.backbone is not None
        space = _space(manifest, references, parts.projection)
        queries = space.project(run(parts.backbone, pictures))
        found: Floats = exact.scores(queries, space.rows[[row]], space.metric)[:, 0]
        return found

    return scores


def _layer(model: keras.Model, name: str) -> keras.Layer:
    try:
        return model.get_layer(name)
    except ValueError as error:
        raise InputError(f"model.keras has no layer {name!r}, which its build had") from error
