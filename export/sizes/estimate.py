"""Estimate the size of files, and whether formats can hold it, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.choices.searches.index import Index
from pocketknn.builder.errors import InputError
from pocketknn.builder.graph.wire import constants
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.spec import STORES, Spec
from pocketknn.export.formats.conversion import Network
from pocketknn.export.formats.storage.texts import packed
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.metadata import Metadata

if TYPE_CHECKING:
    import keras

_ROOM = 64 << 20  # reserved for the backbone and the texts


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The estimated size and cost of a file.

    Attributes:
        format: its name in `FORMATS`.
        backbone: bytes of the backbone.
        references: bytes of the references and of everything their search needs.
        rest: bytes of the labels, targets, tables and texts.
        network: multiplications of the backbone per picture.
        search: multiplications of the search per picture.
        read: bytes of references read per picture.
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
        """The approximate size of the file."""
        return self.backbone + self.references + self.rest


def plan(
    fit: Fit, backbone: Backbone | None, precision: Mapping[str, str], metadata: Metadata
) -> list[Plan]:
    """Estimate each file of a build; sizes are accurate to a few per cent.

    Args:
        fit: the choices and the references.
        backbone: the feature extractor, or None.
        precision: precision of the backbone, by format.
        metadata: the metadata to be stored in the files.
    """
    network = network_of(backbone.model) if backbone else Network(0, 0, 0, 0, 0)
    held = constants(fit)
    ours = {"references"} if fit.index is None else {*fit.index.constants}
    texts = sum(len(text.encode()) for text in packed(metadata.files()).values())
    search = sum(held[name].nbytes for name in held.keys() & ours)
    rest = sum(held[name].nbytes for name in held.keys() - ours)
    multiplied, read = _search(fit)
    return [
        Plan(
            format=name,
            backbone=FORMATS[name].backbone_bytes(network, kind),
            references=search,
            rest=rest + texts,
            network=network.multiplications,
            search=multiplied,
            read=read,
        )
        for name, kind in precision.items()
    ]


def network_of(model: keras.Model) -> Network:
    """Count a backbone's weights and multiplications, from its Keras layers with weights."""
    import keras

    weights = others = multiplications = 0
    norms = keras.layers.BatchNormalization
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, norms) or not layer.weights or hasattr(layer, "layers"):
            continue
        kernel = next((one for one in layer.weights if len(one.shape) > 1), None)
        if kernel is None:
            continue
        size, shape = prod(kernel.shape), layer.output.shape
        weights += size
        multiplications += size * (prod(shape[1:3]) if len(shape) == 4 else 1)  # in each place
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        others += kernel.shape[2] if depthwise else kernel.shape[-1]
    return Network(weights, others, model.count_params(), multiplications, len(model.weights))


def _search(fit: Fit) -> tuple[int, int]:
    """Multiplications of the search, and bytes of references it reads, per query."""
    space, index = fit.space, fit.index
    projected = 0 if space.projection is None else space.projection.kernel.size
    values = len(fit.references) * space.width
    searched, read = (values, 4 * values) if index is None else index.work
    return projected + searched, read


def check_size(formats: Sequence[str], n: int, dim: int, spec: Spec) -> None:
    """Refuse more references than a file can hold.

    Args:
        formats: the files to write.
        n: number of references, or of photos that become references.
        dim: length of an embedding.
        spec: the choices, which decide how many values a reference has and how they are stored.

    Raises:
        InputError: a file would be too large.
    """
    width = min(spec.pca, dim) if isinstance(spec.pca, int) else dim
    limited, largest = _limits(formats)
    value = STORES[spec.references_precision]
    scan = SEARCHES[spec.search].bytes_beside(width) if spec.search in SEARCHES else 0
    size = n * (value * width + scan)
    # The number of components for a share of the variance, or for auto, is not known yet.
    unknown = spec.projection in ("auto", "classes") or isinstance(spec.pca, float | str)
    if not limited or unknown or size + _ROOM < largest:
        return
    fits = ((largest - _ROOM) // n - scan) // value
    ways = [f"--projection pca:{fits}"] if 0 < fits < width else []
    if value > 1 and METRICS[spec.metric].ANGULAR and n * (width + scan) + _ROOM < largest:
        ways.append("--references-precision int8")
    most = (largest - _ROOM) // (value * width + scan)
    free = " or ".join(name for name in FORMATS if FORMATS[name].LARGEST is None)
    ways += [f"at most {most} references", f"--formats {free} alone"]
    raise InputError(
        f"{n} references of {width} values take {size / 1e9:.1f} GB, and a {' or '.join(limited)}"
        f" file holds less than {largest / 1e9:.1f} GB; use {', or '.join(ways)}",
        "file-too-large",
    )


def check_held(formats: Sequence[str], index: Index) -> None:
    """Refuse an index that turned out to be larger than a file can hold.

    Raises:
        InputError: a file would be too large.
    """
    limited, largest = _limits(formats)
    size = sum(table.nbytes for table in index.held)
    if limited and size + _ROOM >= largest:
        raise InputError(
            f"the references take {size / 1e9:.2f} GB with the search {index.search}, but a"
            f" {' or '.join(limited)} file holds less than {largest / 1e9:.1f} GB; use fewer"
            " references, --projection pca:SIZE, --references-precision int8, or --search exact",
            "file-too-large",
        )


def _limits(formats: Sequence[str]) -> tuple[list[str], int]:
    """The formats with a size limit, and the smallest of their limits in bytes."""
    most = {name: FORMATS[name].LARGEST for name in formats}
    limits = {name: size for name, size in most.items() if size is not None}
    return list(limits), min(limits.values(), default=0)
