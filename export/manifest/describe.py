"""The one manifest, and what of it every artefact carries inside."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pocketknn.builder.backbones.load import Backbone
from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.knn.evaluation import leave_one_out, unprojected
from pocketknn.builder.knn.exact import METRICS
from pocketknn.builder.knn.rejection import Rejection, measure
from pocketknn.builder.knn.resolve import Fit
from pocketknn.builder.photos.decode import COLOUR, DEPTH, RESAMPLE
from pocketknn.builder.photos.readers import read_file
from pocketknn.builder.references.csv_table import unguarded
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.untrusted_json import parse_json
from pocketknn.export.formats.options import Options

from .schema import BUILT, INSIDE, check_manifest

SCHEMA = "pocketknn/1"
MANIFEST, TABLE, LABELS = "manifest.json", "references.csv", "labels.txt"
PARITY, REFERENCES = "parity.json", "references.parquet"
REPORT = "report.html"  # measures this machine too, and is written anew: no part of the manifest
GOLDEN, SNIPPETS = "golden", "snippets"  # folders: a test for devices, and code for apps
SLOTS = "slots.json"  # inside a file: where its references lie
SEAL = "seal.txt"  # sha256 of these texts, and of what a native runtime will be given
SHOWN = 5  # neighbours that people are shown of those that vote
MODEL = "model"  # what all artefacts are called, before their suffix
# What the usual consumer of a format does to a picture of any shape, unless it is told otherwise.
CONSUMERS = {
    "tflite": {"name": "MediaPipe Tasks", "crop": "stretch"},
    "coreml": {"name": "Vision", "crop": "center"},
}
PACKAGES = (
    "tensorflow",
    "keras",
    "coremltools",
    "onnx",
    "tf2onnx",
    "numpy",
    "pillow",
    "ai-edge-litert",
    "onnxruntime",
)
# What of the embeddings scores compare, as a continuation of "cosine of each neighbour".
_COMPARED = {
    "embedding": "",
    "pca": " by principal components",
    "classes": " by the directions in which the classes differ",
}
Row = dict[str, str | int]
COLUMNS = ("index", "id", "label", "path")
_EXACT = {
    "by": "exact",
    "references_precision": "float32",
    "candidates": 0,
    "components": 0,
    "cells": 0,
    "probes": 0,
    "recall": None,
    "queries": 0,
}


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What an artefact says about itself.

    Attributes:
        manifest: JSON object: head, k, backbone, input, outputs, labels, references, versions.
        table: CSV of index, id, label, path: what leads from an index to a picture.
        slots: where in the file lies what depends on the references, for a later change of them.
        seal: sha256 of the part of the file that a native runtime reads.
    """

    manifest: dict[str, Any]
    table: str
    slots: dict[str, Any] = field(default_factory=dict, compare=False)
    seal: str = field(default="", compare=False)

    @property
    def labels(self) -> list[str]:
        """The classes in the order of `probabilities`; empty without a vote."""
        return list(self.manifest["labels"])

    def rows(self) -> list[Row]:
        """The table of references, a dictionary of index, id, label and path a row.

        Raises:
            InputError: it is damaged, or of another number of references.
        """
        try:
            found = csv.reader(io.StringIO(self.table, newline=""), strict=True)
            columns = tuple(next(found, ()))
            rows = [dict(zip(columns, row, strict=True)) for row in found]
            if columns != COLUMNS:
                raise ValueError(f"its columns are {', '.join(columns)}")
            numbers = [row["index"] for row in rows]
            if numbers != [*map(str, range(len(rows)))]:
                raise ValueError("its rows are not numbered from 0")
        except (ValueError, csv.Error) as error:
            raise InputError(f"the table of references is damaged: {error}") from error
        if len(rows) != (count := self.manifest["references"]["count"]):
            raise InputError(f"the table of references has {len(rows)} rows, not {count}")
        return [
            {name: unguarded(cell) for name, cell in row.items()} | {"index": place}
            for place, row in enumerate(rows)
        ]

    def files(self, seal: str = "") -> dict[str, str]:
        """The texts that a format stores, by name.

        Args:
            seal: sha256 of the part of the file that a native runtime will read, if one will.
        """
        texts = {
            MANIFEST: dumps(self.manifest),
            TABLE: self.table,
            LABELS: "".join(f"{label}\n" for label in self.labels),
            SLOTS: json.dumps(self.slots),
        }
        return texts | {SEAL: f"{_hash_of(texts)}\n{seal}\n"}

    @classmethod
    def parse(
        cls, files: dict[str, str], source: str, wanted: Mapping[str, Any] = INSIDE
    ) -> Metadata:
        """Read what `files` gave.

        Args:
            files: the texts by name.
            source: what messages call them.
            wanted: what the manifest must hold: `INSIDE` an artefact, or `BUILT` for a folder's.

        Raises:
            InputError: something is missing, broken, or was written by another schema.
        """
        if MANIFEST not in files or TABLE not in files:
            raise InputError(
                f"{source} carries no pocketknn manifest: it is broken, or another tool's"
            )
        try:
            manifest = parse_json(files[MANIFEST])
            schema = manifest["schema"]
            if schema == SCHEMA:
                _upgrade(manifest)
                check_manifest(manifest, wanted)
                spec_of(manifest)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"the manifest of {source} is broken: {first_line(error)}") from error
        if schema != SCHEMA:
            raise InputError(f"{source} has a manifest of schema {schema!r:.40}, not {SCHEMA!r}")
        if not all(isinstance(text, str) for text in files.values()):
            raise InputError(f"{source} is damaged: a text in it is no UTF-8")  # protobuf's way
        own, _, runtimes = files.get(SEAL, "").partition("\n")
        if wanted is INSIDE and own != _hash_of(files):
            raise InputError(f"{source} is damaged: its manifest is not the one that was written")
        try:
            slots = parse_json(files.get(SLOTS, "{}"))
        except ValueError as error:
            raise InputError(f"the manifest of {source} is broken: {error}") from error
        return cls(manifest=manifest, table=files[TABLE], slots=slots, seal=runtimes.strip())

    def part(self, what: str) -> Metadata:
        """The metadata of a file that ends before the top-k, with `scores` or `embedding` only."""
        said = {
            "scores": f"{self.manifest['outputs']['scores']['is'].partition(' of each')[0]} of all"
            " references, in the order of references.csv",
            "embedding": "what is compared with the references",
        }
        width = self.manifest["references"]["count" if what == "scores" else "dim"]
        if what == "embedding" and self.manifest["projection"]:
            width = self.manifest["projection"]["size"]
        outputs = {what: {"shape": [1, width], "is": said[what]}}
        return replace(self, manifest=self.manifest | {"outputs": outputs})

    def with_precision(self, precision: Mapping[str, str]) -> Metadata:
        """With the backbone's precision of each format, as it turned out."""
        return replace(self, manifest=self.manifest | {"precision": dict(precision)})

    def check_seal(self, found: str, source: str) -> None:
        """Refuse a damaged file before a native runtime, which may crash on it, sees it.

        Args:
            found: sha256 of what the runtime would read.
            source: what the message calls the file.

        Raises:
            InputError: the content is not the one that was sealed.
        """
        if found != self.seal:
            raise InputError(f"{source} is damaged: the model in it is not the one that was built")


def manifest_of(out: Path) -> dict[str, Any]:
    """The manifest of a build's folder.

    Raises:
        InputError: there is none, or it is broken.
    """
    try:
        text = read_file(out / MANIFEST).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{out} is no build: it has no {MANIFEST} that can be read") from error
    manifest = Metadata.parse({MANIFEST: text, TABLE: ""}, str(out / MANIFEST), BUILT).manifest
    for name in manifest["files"]:
        if not (out / name).resolve().is_relative_to(out.resolve()):
            raise InputError(f"{out / name} is a link that leads out of the build")
    return manifest


def describe(
    fit: Fit,
    backbone: Backbone | None,
    precision: dict[str, str],
    rejection: Rejection | None = None,
    options: Options | None = None,
    *,
    measured: bool = True,
) -> Metadata:
    """The metadata of a build: all that is known before a file is written.

    Args:
        fit: the choices and the stored examples.
        backbone: the feature extractor, or None.
        precision: of the backbone, for each format.
        rejection: what the fit's threshold rejects, where it has one.
        options: how the files are written.
        measured: say how good the fit is, which takes a leave-one-out.
    """
    options = options or Options()
    given = _input(fit.spec, fit.references, backbone, options, precision)
    figures = _figures(fit, rejection, measured)
    return _describe(fit, _backbone(backbone), given, precision, figures, options)


def redescribe(manifest: dict[str, Any], fit: Fit) -> Metadata:
    """The metadata of a build with other references, but of the same graph.

    Behind a projection its figures stay those of its build, and are marked so: in a space that the
    references helped to find, they would look better than they are.

    Args:
        manifest: of the build as it was.
        fit: the references that it has now.
    """
    before = manifest["references"]
    if fit.space.projection is None:
        figures = _figures(fit, measure(fit))
    else:
        figures = {name: manifest[name] for name in ("reject", "projection")}
        figures["leave_one_out"] = before["leave_one_out"]
        figures["figures_of"] = before.get("figures_of") or before["count"]
    said = {name: manifest[name] for name in ("ios", "author", "license", "version")}
    options = Options(**said)
    precision, given = manifest["precision"], manifest["input"]
    made = _describe(fit, manifest["backbone"], given, precision, figures, options)
    # What converted the file may not be installed here.
    made.manifest["versions"] = manifest["versions"] | made.manifest["versions"]
    return made


def installed(*packages: str) -> dict[str, str]:
    """The versions of packages; one that is not there is left out."""
    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _figures(fit: Fit, rejection: Rejection | None, measured: bool = True) -> dict[str, Any]:
    """What is measured of a fit; `figures_of` is how many references that was on, if not these."""
    loo = leave_one_out(fit) if measured else None
    return {
        "reject": asdict(rejection) if rejection else None,
        "projection": _projection(fit, measured),
        "leave_one_out": asdict(loo) if loo else None,
        "figures_of": None,
    }


def _describe(
    fit: Fit,
    backbone: dict[str, Any] | None,
    given: dict[str, Any],
    precision: dict[str, str],
    figures: Mapping[str, Any],
    options: Options,
) -> Metadata:
    spec, references = fit.spec, fit.references
    votes = spec.head == "classify"
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "description": _description(fit, backbone, given),
        "author": options.author,
        "license": options.license,
        "version": options.version,
        "ios": options.ios,
        "head": spec.head,
        "k": fit.k,
        "metric": spec.metric,
        "vote": spec.vote if spec.head != "neighbors" else None,
        "temperature": fit.temperature if spec.vote == "soft" else None,
        "balanced": spec.balanced if votes else None,
        "projection": figures["projection"],
        "scores_of": fit.scores_of,
        "search": _search(fit),
        "reject": figures["reject"],
        "precision": dict(precision),
        "seed": spec.seed,
        "backbone": backbone,
        "input": given,
        "outputs": _outputs(fit),
        "labels": list(fit.labels),
        "targets": list(references.target_names) if spec.head == "regress" else [],
        "references": {
            "count": len(references),
            "dim": references.dim,
            "per_label": references.counts,
            "duplicates": references.duplicates(),
            "contradictions": [list(pair) for pair in references.contradictions()],
            "leave_one_out": figures["leave_one_out"],
            "figures_of": figures["figures_of"],
        },
        "versions": {"python": platform.python_version()} | installed("pocketknn", *PACKAGES),
    }
    return Metadata(manifest=manifest, table=references.table())


def _upgrade(manifest: dict[str, Any]) -> None:
    """Bring the manifest of an earlier version to the keys of this one."""
    manifest.setdefault("search", dict(_EXACT))
    manifest.setdefault("temperature", None)
    if "projection" not in manifest:
        pca = manifest.pop("pca")
        # Builds before there was whitening do not name it.
        manifest["projection"] = pca and {"by": "pca", "whiten": 0.0} | pca
    manifest.setdefault("scores_of", "pca" if manifest["projection"] else "embedding")


def spec_of(manifest: dict[str, Any]) -> Spec:
    """The choices of a build that its files are judged by."""
    search, projection = manifest["search"], manifest["projection"] or {"by": "none"}
    components = projection if projection["by"] == "pca" else None
    return Spec(
        head=manifest["head"],
        metric=manifest["metric"],
        k=manifest["k"],
        projection=projection["by"],
        pca=int(components["size"]) if components else None,
        whiten=float(components["whiten"]) if components else None,
        vote=manifest["vote"] or "uniform",
        temperature=manifest["temperature"],
        balanced=bool(manifest["balanced"]),
        reject=float(manifest["reject"]["threshold"]) if manifest["reject"] else None,
        references_precision=search["references_precision"],
        search=search["by"],
        candidates=search["candidates"] if search["by"] != "exact" else None,
        probes=search["probes"] if search["by"] == "ivf" else None,
        seed=manifest["seed"],
    )


def _description(fit: Fit, backbone: dict[str, Any] | None, given: dict[str, Any]) -> str:
    """One line for the places where platforms show one."""
    spec, references = fit.spec, fit.references
    what = {"classify": "classifier", "regress": "regression", "neighbors": "image search"}
    classes = f" in {len(references.labels)} classes" if spec.head == "classify" else ""
    source = (
        f"{backbone['name']} at {given['shape'][0]}" if backbone else f"{references.dim} features"
    )
    return (
        f"k-nearest-neighbour {what[str(spec.head)]}: {len(references)} references{classes},"
        f" k = {fit.k}, {spec.metric}; {source}"
    )


def _outputs(fit: Fit) -> dict[str, Any]:
    order = METRICS[fit.spec.metric]
    score = f"negative {fit.spec.metric} distance" + (" (p = 3)" if order == 3 else "")
    said: dict[str, Any] = {
        "scores": {
            "shape": [1, fit.k],
            "is": f"{score if order else 'cosine'} of each neighbour"
            f"{_COMPARED[fit.scores_of]}, descending",
        },
        "indices": {"shape": [1, fit.k], "is": "row of each neighbour in references.csv"},
    }
    if fit.labels:
        said["probabilities"] = {"shape": [1, len(fit.labels)], "is": "share of each label"}
    if fit.spec.head == "regress":
        width = len(fit.references.target_names)
        said["value"] = {"shape": [1, width], "is": "mean of each target over the neighbours"}
    return said


def _projection(fit: Fit, measured: bool) -> dict[str, Any] | None:
    projection = fit.space.projection
    if projection is None:
        return None
    cost = unprojected(fit) if measured else None
    said: dict[str, Any] = {"by": fit.spec.projection, "size": len(projection.bias)}
    if fit.spec.projection == "pca":
        said |= {"whiten": fit.spec.whiten or 0.0, "variance": projection.variance}
    else:
        said |= {"directions": projection.rank, "variance": projection.variance}
    return said | {"without": asdict(cost) if cost else None}


def _search(fit: Fit) -> dict[str, Any]:
    """How the references are stored and searched, and what share of the neighbours that finds."""
    index = fit.index
    if index is None:
        return dict(_EXACT)
    return {
        "by": index.search,
        "references_precision": index.precision,
        "candidates": index.candidates,
        "components": index.width,
        "cells": 0 if index.cells is None else len(index.cells.members),
        "probes": index.probes,
        "recall": index.recall,
        "queries": index.queries,
    }


def licence(manifest: Mapping[str, Any]) -> str:
    """Under what terms a file may be used: the builder's words, and whose the backbone is."""
    backbone = manifest["backbone"] or {}
    # Builds before there were such backbones do not name any.
    return "; ".join(filter(None, (manifest["license"], backbone.get("attribution"))))


def dumps(value: object) -> str:
    """JSON as every file of a build is written: readable, in UTF-8, the same each time."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _hash_of(files: Mapping[str, str]) -> str:
    texts = [files.get(name, "") for name in (MANIFEST, TABLE, LABELS, SLOTS)]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _backbone(backbone: Backbone | None) -> dict[str, Any] | None:
    if backbone is None:
        return None
    return {
        "name": backbone.name,
        "alpha": backbone.alpha,
        "input_range": backbone.input_range,
        "dim": backbone.dim,
        "weights": backbone.weights or None,
        "weights_sha256": backbone.weights_sha256 or None,
        "sha256": backbone.sha256(),
        "attribution": backbone.attribution or None,
        "why": backbone.why or None,
    }


def _input(
    spec: Spec,
    references: References,
    backbone: Backbone | None,
    options: Options,
    formats: Iterable[str],
) -> dict[str, Any]:
    if backbone is None:
        return {"name": "features", "shape": [references.dim], "dtype": "float32"}
    return {
        "name": "image",
        "shape": [backbone.size, backbone.size, 3],
        "dtype": options.pixels,
        "color": "RGB",
        "profile": COLOUR,
        "depth": DEPTH,
        "range": [0, 255],
        "upright": True,
        "crop": spec.crop,
        "resample": RESAMPLE,
        "consumers": {name: CONSUMERS[name] for name in formats if name in CONSUMERS},
    }
