"""pocketknn verify: run every file of a build again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocketknn.builder.backbone import Backbone
from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.fit import Fit
from pocketknn.builder.projection import Projection
from pocketknn.builder.references import References
from pocketknn.builder.sources import find
from pocketknn.builder.space import Space
from pocketknn.export import queries, report
from pocketknn.export.artefact import FORMATS, format_of
from pocketknn.export.handover import compare, digest, size
from pocketknn.export.metadata import MANIFEST, MODEL, REFERENCES, manifest_of, spec_of
from pocketknn.export.report import console

if TYPE_CHECKING:
    import keras


def verify_build(out: Path, photos: Path | None) -> bool:
    """Run each file of a build again; whether all are unchanged and agree with the exact k-NN.

    The embeddings come from the backbone inside model.keras, a projection from there too, the
    neighbours from references.parquet, in float64.

    Raises:
        InputError: `out` is no build, or none of the photos can be read.
    """
    manifest = manifest_of(out)
    changed = list(_changes(out, manifest))
    refs = References.load(out / REFERENCES)
    model = _keras_model(out)
    fit = _fit_of(manifest, refs, model)
    if manifest["input"]["name"] != "image":
        if photos is not None:
            raise InputError(f"{out} takes vectors, not pictures; verify it without photos")
        against = queries.from_vectors(refs.vectors, seed=manifest["seed"])
    else:
        net = _backbone_of(out, manifest, model)
        against = (
            queries.synthetic(net, seed=manifest["seed"])
            if photos is None
            else queries.from_photos(find(photos), net, manifest["input"]["crop"])
        )
    rows = []
    for name, target in FORMATS.items():
        path = out / f"{MODEL}{target.SUFFIX}"
        if path.name in manifest["files"] and path.exists():
            parity = compare(name, path, manifest["precision"][name], fit, against)
            rows.append(report.Row(path.name, size(path), parity))
    console.print(report.parity_table(rows))
    for line in (wrong := changed + report.failures(rows)):
        console.print(line, markup=False)
    return not wrong


def _changes(out: Path, manifest: dict[str, Any]) -> Iterator[str]:
    for name, file in manifest["files"].items():
        path = out / name
        if not path.exists():
            yield f"{name} is missing"
        elif digest(path) != file["sha256"]:
            yield f"{name} is not the file that was built: its sha256 differs"
        elif path.suffix in {target.SUFFIX for target in FORMATS.values()}:
            inside = FORMATS[format_of(path)].read(path).manifest
            if any(manifest.get(key) != value for key, value in inside.items()):
                yield f"{MANIFEST} is not the one inside {name}"


def _keras_model(out: Path) -> keras.Model:
    import keras

    path = out / f"{MODEL}.keras"
    if not path.is_file():
        raise InputError(f"verify takes the embeddings from {path}, which is missing")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever a damaged archive raises inside Keras
        raise InputError(f"{path} is refused by Keras: {first_line(error)}") from error


def _fit_of(manifest: dict[str, Any], references: References, model: keras.Model) -> Fit:
    spec = spec_of(manifest)
    projection = None
    if manifest["pca"]:
        kernel, bias = _layer(model, "projection").get_weights()
        variance = manifest["pca"]["variance"]
        projection = Projection(kernel=kernel, bias=bias, variance=variance)
    space = Space(references=references, metric=spec.metric, projection=projection, seed=spec.seed)
    return Fit(spec=spec, space=space)


def _backbone_of(out: Path, manifest: dict[str, Any], model: keras.Model) -> Backbone:
    """The backbone inside model.keras."""
    net = Backbone.of(manifest["backbone"]["name"], _layer(model, "backbone"))
    if net.sha256() != manifest["backbone"]["sha256"]:
        raise InputError(f"the backbone in {out / MODEL}.keras is not the one that was built")
    return net


def _layer(model: keras.Model, name: str) -> keras.Layer:
    try:
        return model.get_layer(name)
    except ValueError as error:
        raise InputError(f"model.keras has no layer {name!r}, which its build had") from error
