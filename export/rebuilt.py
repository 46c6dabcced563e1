"""What a build's folder still holds of the exact k-NN: the references and, in Keras, the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder import neighbors
from pocketknn.builder.backbone import Backbone
from pocketknn.builder.embedding import run
from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.fit import Fit
from pocketknn.builder.indexing import index_again
from pocketknn.builder.neighbors import Floats
from pocketknn.builder.projection import Projection
from pocketknn.builder.references import References
from pocketknn.builder.space import Space

from .metadata import MODEL, REFERENCES, manifest_of, spec_of
from .seal import digest

if TYPE_CHECKING:
    import keras

# Pictures (q, H, W, 3) and the row of a reference to its exact scores (q,).
Scorer = Callable[[NDArray[np.uint8], int], Floats]


def keras_model(out: Path) -> keras.Model:
    """The graph in a build's model.keras.

    Raises:
        InputError: the file is missing or broken.
    """
    import keras

    path = out / f"{MODEL}.keras"
    if not path.is_file():
        raise InputError(f"the embeddings are taken from {path}, which is missing")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever a damaged archive raises inside Keras
        raise InputError(f"{path} is refused by Keras: {first_line(error)}") from error


def fit_of(manifest: dict[str, Any], references: References, model: keras.Model) -> Fit:
    """The choices of a build over its references; a projection is taken from the graph."""
    spec, space = spec_of(manifest), _space(manifest, references, model)
    search, k = manifest["search"], int(manifest["k"])
    index = index_again(spec, space, k, search["components"], search["cells"])
    return Fit(spec=spec, space=space, index=index)


def _space(manifest: dict[str, Any], references: References, model: keras.Model) -> Space:
    projection = None
    if manifest["projection"]:
        kernel, bias = _layer(model, "projection").get_weights()
        said = manifest["projection"]
        projection = Projection(kernel=kernel, bias=bias, variance=said["variance"], by=said["by"])
    return Space(
        references=references,
        metric=manifest["metric"],
        projection=projection,
        seed=manifest["seed"],
    )


def backbone_of(out: Path, manifest: dict[str, Any], model: keras.Model) -> Backbone:
    """The backbone inside model.keras.

    Raises:
        InputError: it is not the one that was built.
    """
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
    for name in (REFERENCES, f"{MODEL}.keras"):
        path, listed = folder / name, manifest["files"].get(name)
        if listed is None or not path.is_file() or digest(path) != listed["sha256"]:
            return None

    def scores(pictures: NDArray[np.uint8], row: int) -> Floats:
        model = keras_model(folder)
        space = _space(manifest, References.load(folder / REFERENCES), model)
        net = backbone_of(folder, manifest, model)
        queries = space.project(run(net, pictures))
        found: Floats = neighbors.scores(queries, space.rows[[row]], space.metric)[:, 0]
        return found

    return scores


def _layer(model: keras.Model, name: str) -> keras.Layer:
    try:
        return model.get_layer(name)
    except ValueError as error:
        raise InputError(f"model.keras has no layer {name!r}, which its build had") from error
