"""The manifest of a build: everything known before a file is written.

Nothing is measured here; the figures are passed in.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.choices import growth
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.validation.leave_one_out import LeaveOneOut, Unprojected
from pocketknn.builder.knn.validation.occasions import described
from pocketknn.builder.photos.pixels.colour import COLOUR, DEPTH
from pocketknn.builder.photos.pixels.decode import RESAMPLE
from pocketknn.builder.wording import counted
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.requirements import PACKAGES, installed
from pocketknn.export.formats.table import FORMATS

from .figures import Figures
from .metadata import Metadata
from .schema import EXACT, SCHEMA

_OPTIONS = ("author", "license", "version", "ios")
_ROW = (
    "taught examples, a row each: an embedding, then c + 1 for an example of class c; 0 is an empty"
    " row, and -(c + 1) forgets class c of the references"
)
_ROW_WITHOUT_CLASSES = "taught examples, a row each: an embedding, then 1; 0 is an empty row"
# What part of the embeddings scores compare; continues "cosine of each neighbour".
_COMPARED = {
    "embedding": "",
    "pca": " along principal components",
    "classes": " along the directions in which the classes differ",
}


def describe(
    fit: Fit,
    backbone: Backbone | None,
    precision: Mapping[str, str],
    figures: Figures | None = None,
    options: Options | None = None,
) -> Metadata:
    """The metadata of a build.

    Args:
        fit: the choices and the stored examples.
        backbone: the feature extractor, or None.
        precision: precision of the backbone, for each format.
        figures: how good the fit is; None if it was not measured.
        options: how the files are written.
    """
    options = options or Options()
    graph = {name: getattr(options, name) for name in _OPTIONS} | {
        "backbone": _backbone(backbone),
        "input": _input(fit, backbone, options, precision),
        "precision": dict(precision),
    }
    found = _described(fit, graph, figures or Figures())
    return Metadata(manifest=found, table=fit.references.table())


def redescribe(manifest: Mapping[str, Any], fit: Fit, figures: Figures | None) -> Metadata:
    """The metadata of a build with other references but the same graph.

    Args:
        manifest: the build's earlier manifest.
        fit: the new references.
        figures: how good they are; None to keep the build's figures, marked as such.
    """
    found = _described(fit, manifest, figures or Figures())
    if figures is None:
        found |= {name: manifest.get(name) for name in ("reject", "strangers", "projection")}
        before = manifest["references"]
        found["references"] |= {
            "leave_one_out": before["leave_one_out"],
            "calibration": before.get("calibration"),
            "figures_of": before.get("figures_of") or before["count"],
        }
    # The packages that converted the file may not be installed here.
    found["versions"] = manifest["versions"] | found["versions"]
    return Metadata(manifest=found, table=fit.references.table())


def _described(fit: Fit, graph: Mapping[str, Any], figures: Figures) -> dict[str, Any]:
    """The manifest; the entries about the graph, which references do not change, are passed in."""
    spec, references = fit.spec, fit.references
    return {
        "schema": SCHEMA,
        "description": _description(fit, graph["backbone"], graph["input"]),
        **{name: graph[name] for name in _OPTIONS},
        "head": spec.head,
        "k": fit.listed,
        "metric": spec.metric,
        "vote": spec.vote if fit.head.OUTPUT else None,
        "temperature": fit.temperature if spec.soft else None,
        "balanced": spec.balanced if fit.head.CLASSES else None,
        "projection": _projection(fit, figures.unprojected),
        "scores_of": fit.scores_of,
        "search": _search(fit),
        "reject": asdict(figures.rejection) if figures.rejection else None,
        "strangers": asdict(figures.strangers) if figures.strangers else None,
        "precision": graph["precision"],
        "seed": spec.seed,
        "backbone": graph["backbone"],
        "input": graph["input"],
        "outputs": _outputs(fit),
        **({growth.NAME: _memory(fit)} if fit.slots else {}),
        "labels": list(fit.labels),
        "targets": list(references.target_names) if fit.head.NUMBERS else [],
        "references": {
            "count": len(references),
            "dim": references.dim,
            "per_label": references.counts,
            "duplicates": references.duplicates(),
            "contradictions": [list(pair) for pair in references.contradictions()],
            "leave_one_out": _left_out(figures.leave_one_out),
            "calibration": _calibration(figures),
            "figures_of": None,
            **({"image_search": asdict(search)} if (search := figures.image_search) else {}),
            **({"apart": asdict(figures.apart)} if figures.apart else {}),
            **({"occasions": occasions} if (occasions := described(references)) else {}),
        },
        "versions": {"python": platform.python_version()} | installed("pocketknn", *PACKAGES),
    }


def _left_out(measured: LeaveOneOut | None) -> dict[str, Any] | None:
    """The figures as JSON returns them: lists instead of tuples."""
    if measured is None:
        return None
    found: dict[str, Any] = json.loads(json.dumps(asdict(measured)))
    return found


def _description(fit: Fit, backbone: dict[str, Any] | None, given: dict[str, Any]) -> str:
    """One line for platforms that show a description."""
    spec, references = fit.spec, fit.references
    classes = ""
    if fit.head.CLASSES:
        classes = f" in {counted(len(references.labels), 'class', 'classes')}"
    source = counted(references.dim, "feature")
    if backbone:
        source = f"{backbone['name']} at {given['shape'][0]}"
    return (
        f"k-nearest-neighbour {fit.head.KIND}: {counted(len(references), 'reference')}{classes},"
        f" k = {fit.listed}, {spec.metric}; {source}"
    )


def _outputs(fit: Fit) -> dict[str, Any]:
    outputs: dict[str, Any] = {
        "scores": {
            "shape": [1, fit.listed],
            "is": f"{fit.metric.SCORE} of each neighbour{_COMPARED[fit.scores_of]}, descending",
        },
        "indices": {"shape": [1, fit.listed], "is": "row of each neighbour in references.csv"},
    }
    if (output := fit.head.OUTPUT) is not None:
        outputs[output.name] = {"shape": [1, len(fit.names)], "is": output.meaning}
    if fit.slots:
        outputs["indices"]["is"] += "; indices from references.count up are rows of the memory"
        outputs[growth.EMBEDDING] = {
            "shape": [1, fit.references.dim],
            "is": "the picture's embedding, for a row of the memory",
        }
    return outputs


def _memory(fit: Fit) -> dict[str, Any]:
    """What an app must know to teach a file."""
    classes = len(fit.references.labels) if fit.head.CLASSES else 0
    return {
        "slots": fit.slots,
        "width": fit.references.dim + 1,
        "classes": classes,
        "spare": fit.spec.spare or 0,
        "is": _ROW if classes else _ROW_WITHOUT_CLASSES,
    }


def _projection(fit: Fit, cost: Unprojected | None) -> dict[str, Any] | None:
    projection = fit.space.projection
    if projection is None:
        return None
    facts: dict[str, Any] = {"by": fit.spec.projection, "size": len(projection.bias)}
    if fit.spec.projection == "pca":
        facts |= {"whiten": fit.spec.whiten or 0.0, "variance": projection.variance}
    else:
        facts |= {"directions": projection.rank, "variance": projection.variance}
    return facts | {"without": asdict(cost) if cost else None}


def _calibration(figures: Figures) -> dict[str, Any] | None:
    """The calibration as JSON returns it: with lists only."""
    if figures.calibration is None:
        return None
    found = asdict(figures.calibration)
    return found | {"bins": list(found["bins"])}


def _search(fit: Fit) -> dict[str, Any]:
    """How the references are stored and searched, and the recall of that search."""
    index = fit.index
    if index is None:
        return dict(EXACT)
    return {
        "by": index.search,
        "references_precision": index.precision,
        "candidates": index.candidates,
        "components": index.width,
        "recall": index.recall,
        "queries": index.queries,
    }


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
    fit: Fit, backbone: Backbone | None, options: Options, formats: Iterable[str]
) -> dict[str, Any]:
    if backbone is None:
        return {"name": "features", "shape": [fit.references.dim], "dtype": "float32"}
    feeders = {name: FORMATS[name].CONSUMER for name in formats}
    if fit.slots:  # those that feed a single input refuse files with two
        feeders = {name: one for name, one in feeders.items() if not FORMATS[name].ONE_INPUT}
    return {
        "name": "image",
        "shape": [backbone.size, backbone.size, 3],
        "dtype": options.pixels,
        "color": "RGB",
        "profile": COLOUR,
        "depth": DEPTH,
        "range": [0, 255],
        "upright": True,
        "crop": fit.spec.crop,
        "resample": RESAMPLE,
        "consumers": {name: dict(one) for name, one in feeders.items() if one},
    }
