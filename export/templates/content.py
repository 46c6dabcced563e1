"""The content of a fit for a converted file."""

from __future__ import annotations

from pocketknn.builder.choices.searches.index import LARGE
from pocketknn.builder.graph.wire import constants
from pocketknn.builder.knn.fit import Fit
from pocketknn.export.formats.storage.slots import Content


def content_of(fit: Fit, precision: str, outputs: str = "neighbors") -> Content:
    """The content that a file of a fit holds.

    Args:
        fit: the choices and the references.
        precision: precision of the backbone.
        outputs: as for `builder.graph.wire`.
    """
    found = dict(constants(fit, precision, outputs))
    if {"bias", "middle"} <= found.keys():
        found["moved_bias"] = found["bias"] - found["middle"]
    sizes = {
        "references": len(fit.references),
        "classes": len(fit.classes),
        "labels": len(fit.labels),
        **fit.free_sizes,
    }
    grows = fit.slots and outputs == "neighbors"
    if grows:
        sizes["numbers"] = len(fit.classes) + 1
    positive = {name: size for name, size in sizes.items() if size}
    if grows:
        positive["examples_from"] = len(fit.references) - fit.k  # may be 0
    return Content(constants=found, sizes=positive, labels=fit.labels, large=LARGE)
