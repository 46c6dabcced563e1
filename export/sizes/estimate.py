"""What files will take, worked out before anything is written: bytes and multiplications."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.graph.wire import constants
from pocketknn.builder.knn.fit import Fit
from pocketknn.export.formats.backbone_size import Network
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.metadata import Metadata

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A file that is to be written.

    Attributes:
        format: its name in `FORMATS`.
        backbone: bytes of the backbone.
        references: bytes of the references, the scan or cells, and what belongs to their search.
        rest: bytes of the labels, targets, tables and texts.
        network: multiplications of the backbone for one picture.
        search: multiplications of the search for one picture.
        read: bytes of references that are read for one picture.
    """

    format: str
    backbone: int
    references: int
    rest: int
    network: int
    search: int
    read: int

    @property
    def bytes(self) -> int:
        """About the size of the file."""
        return self.backbone + self.references + self.rest


def plan(
    fit: Fit, backbone: Backbone | None, precision: Mapping[str, str], metadata: Metadata
) -> list[Plan]:
    """Work out each file of a build; sizes are right to a few per cent.

    Args:
        fit: the choices and the references.
        backbone: the feature extractor, or None.
        precision: of the backbone, by format.
        metadata: what files will say about themselves.
    """
    network = network_of(backbone.model) if backbone else Network(0, 0, 0, 0, 0)
    held = constants(fit)
    ours = {"references", "scan", "cells", "members", "centroids", "rotation", "steps", "offset"}
    texts = sum(len(text.encode()) for text in metadata.files().values())
    search = sum(held[name].nbytes for name in held.keys() & ours)
    rest = sum(held[name].nbytes for name in held.keys() - ours)
    multiplied, read = _search(fit)
    plans = []
    for name, kind in precision.items():
        plans.append(
            Plan(
                format=name,
                backbone=FORMATS[name].backbone_bytes(network, kind),
                references=search,
                rest=rest + texts,
                network=network.multiplications,
                search=multiplied,
                read=read,
            )
        )
    return plans


def network_of(model: keras.Model) -> Network:
    """Count a backbone's numbers and multiplications; of layers other than its own none."""
    import keras

    weights = others = multiplications = 0
    norms = keras.layers.BatchNormalization
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, norms) or not layer.weights or hasattr(layer, "layers"):
            continue
        kernel = next((one for one in layer.weights if len(one.shape) > 1), None)
        if kernel is None:
            continue
        size = prod(kernel.shape)
        weights += size
        places = _places(layer)
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        multiplications += places * size
        others += kernel.shape[2] if depthwise else kernel.shape[-1]
    return Network(weights, others, model.count_params(), multiplications, len(model.weights))


def _places(layer: Any) -> int:  # noqa: ANN401
    """How often a layer's kernel is applied to a picture."""
    shape = layer.output.shape
    return prod(shape[1:3]) if len(shape) == 4 else 1


def _search(fit: Fit) -> tuple[int, int]:
    """Multiplications of the search, and bytes of references that it reads, for one query."""
    n, space, index = len(fit.references), fit.space, fit.index
    projected = 0 if space.projection is None else space.projection.kernel.size
    r = space.width
    if index is None:
        return projected + n * r, 4 * n * r
    scored = index.candidates * r
    read = index.candidates * r * index.table.itemsize
    if index.rotation is None:
        return projected + n * r + scored, n * r * index.table.itemsize + read
    turned, w = index.rotation.size, index.width
    if index.cells is None:
        return projected + turned + n * w + scored, n * w + read
    count, room = index.cells.members.shape
    scanned = index.probes * room * w
    return projected + turned + count * w + scanned + scored, 4 * count * w + scanned + read
