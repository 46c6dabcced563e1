"""Other references in a file that is there, given nothing but that file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones import load as backbones
from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.backbones.provenance import Provenance
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.neighbors import Neighbors
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.errors import OF_THE_MACHINE, InputError
from pocketknn.builder.graph.placeholder import is_fixed
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.memory import check_differences
from pocketknn.builder.knn.metric_space import Space
from pocketknn.builder.knn.projected import space_of
from pocketknn.builder.knn.projection.pca import Projection
from pocketknn.builder.references.match import OF_PICTURE
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import UNKNOWN, Spec
from pocketknn.builder.system.atomic_file import NEW, OLD, workplace
from pocketknn.builder.system.swap import put
from pocketknn.export.formats.files import format_of
from pocketknn.export.formats.storage.slots import Slots
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.artefact import metadata_of
from pocketknn.export.manifest.describe import redescribe
from pocketknn.export.manifest.figures import measure
from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.manifest.spec import spec_of
from pocketknn.export.parity import test_inputs
from pocketknn.export.parity.check import Parity
from pocketknn.export.parity.compare import compare
from pocketknn.export.parity.judges import Judges
from pocketknn.export.parity.test_inputs import Queries
from pocketknn.export.templates.content import content_of

_PROJECTED = ("projection", "bias", "moved_bias")
# Windows replaces no file that is mapped, so that one that is edited has to be in memory.
KEEPS_WHAT_IS_MAPPED = sys.platform == "win32"


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """An artefact, read back into what it was made from.

    Attributes:
        format: its name in `FORMATS`.
        path: the file.
        metadata: what it says about itself.
        fit: the references in it, under its metric and projection.
    """

    format: str
    path: Path
    metadata: Metadata
    fit: Fit

    @property
    def precision(self) -> str:
        """Of the backbone."""
        return str(self.metadata.manifest["precision"][self.format])


def open_artefact(path: Path) -> Opened:
    """Read the references back from a file of any format.

    Cosine files hold them as unit vectors, and projected ones hold components, so what is read is
    what is compared, and no longer what the backbone gave.

    Raises:
        InputError: no such file, none of ours, damaged, or of a kind that cannot be read back.
    """
    name = format_of(path)
    metadata = metadata_of(path, checked=True)
    manifest = metadata.manifest
    if "indices" not in manifest["outputs"]:
        raise InputError(f"{path.name} ends before the top-k; only files with it can be edited")
    search = manifest["search"]
    if SEARCHES[search["by"]].SCANS or search["references_precision"] != "float32":
        raise InputError(
            f"{path.name} holds {search['references_precision']} references for the search"
            f" {search['by']}; only float32 references for the exact search are read back from a"
            " file: change references.parquet with pocketknn refs, and build it anew"
        )
    if name not in manifest["precision"]:
        raise InputError(f"the manifest of {path.name} is broken: it names no precision of {name}")
    with _understood(path):
        places = Slots(**metadata.slots)
        held = FORMATS[name].content(path, places)
        if KEEPS_WHAT_IS_MAPPED:
            held = {key: np.array(values) for key, values in held.items()}
        fit = _fit(spec_of(manifest), metadata, places, held)
    return Opened(format=name, path=path, metadata=metadata, fit=fit)


def projection_of(path: Path) -> Projection | None:
    """The projection in a file, whatever its search and the precision of its references.

    Raises:
        InputError: no such file, none of ours, or damaged.
    """
    name = format_of(path)
    metadata = metadata_of(path, checked=True)
    with _understood(path):
        places = Slots(**metadata.slots)
        some = {key: places.constants[key] for key in _PROJECTED if key in places.constants}
        held = FORMATS[name].content(path, Slots(constants=some))
        return _projection(metadata.manifest, places, held)


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Whatever goes wrong inside while places of a file are read or written is said in a line."""
    try:
        yield
    except (OSError, InputError, *OF_THE_MACHINE):
        raise
    except Exception as error:  # whatever places raise that are none of this file
        raise InputError(
            f"{path.name} does not say where its references lie: an earlier version wrote it, or"
            " it holds too few of them for its metric; build it anew"
        ) from error


def backbone_of(opened: Opened, weights: Path | None) -> Backbone | None:
    """The backbone that is in a file, to embed pictures for it.

    Args:
        opened: the file.
        weights: the weights file that it was built with, where it was built with one.

    Raises:
        InputError: it cannot be had, or is another one.
    """
    manifest = opened.metadata.manifest
    said, name = manifest["backbone"], opened.path.name
    if said is None:
        return None
    if said["weights_sha256"] and said["name"] not in backbones.PACKAGED and weights is None:
        raise InputError(
            f"{name} was built with the weights {said['weights']}; name that file with --weights"
        )
    own = said["name"].endswith(".keras")
    spec = Spec(backbone=str(weights)) if own else Spec(backbone="auto", weights=weights)
    return backbones.backbone_of(opened.fit.references, spec)


def provenance_of(manifest: Mapping[str, Any]) -> Provenance | None:
    """Where the references of a build come from."""
    said, given = manifest["backbone"], manifest["input"]
    if said is None:
        return None
    return Provenance(
        backbone=said["name"],
        alpha=said["alpha"],
        size=given["shape"][0],
        input_range=said["input_range"],
        sha256=said["sha256"],
        crop=given["crop"],
    )


def with_references(opened: Opened, references: References) -> Fit:
    """The same choices over other references.

    Raises:
        InputError: there are too few for the graph, or a class is called unknown where there is a
            threshold.
    """
    fit = opened.fit
    if fit.k > len(references):
        raise InputError(
            f"{opened.path.name} asks for {fit.k} neighbours, and {len(references)} references"
            " would be left; build it anew with a smaller k"
        )
    changed = replace(fit, space=replace(fit.space, references=references))
    if is_fixed(changed):
        raise InputError(
            f"{opened.path.name} needs more than {fit.k + fit.metric.SPARE} references for its"
            f" metric, and {len(references)} would be left; build it anew"
        )
    if fit.threshold is not None and UNKNOWN in references.labels:
        raise InputError(f"with a threshold, the class name {UNKNOWN!r} is reserved")
    check_differences(fit.spec.metric, len(references), fit.space.width)
    return changed


def rewrite(opened: Opened, fit: Fit, out: Path, backbone: Backbone | None) -> Parity:
    """Write the file again with other references, run it, and put it in its place if it agrees.

    Args:
        opened: the file.
        fit: what it is to hold.
        out: its place; a file that is there is replaced.
        backbone: the one in the file, which the pictures to run it on are embedded by; where it
            is not at hand, the file is held against what it answered before.

    Returns:
        How the new file agrees; where it does not, nothing was changed.
    """
    target = FORMATS[opened.format]
    # Behind a projection they would look better than they are: these references helped to find it.
    figures = measure(fit) if fit.space.projection is None else None
    metadata = redescribe(opened.metadata.manifest, fit, figures)
    metadata = replace(metadata, slots=opened.metadata.slots)
    place = out.resolve()  # a link stays one
    try:
        with workplace(place) as work:
            made = work / f"{NEW}{target.SUFFIX}"
            content = content_of(fit, opened.precision)
            with _understood(opened.path):
                target.fill(opened.path, made, Slots(**metadata.slots), content, metadata.files())
            parity = _compare(opened, made, fit, backbone)
            if parity.agrees:
                place.parent.mkdir(parents=True, exist_ok=True)
                put(made, place, work / OLD)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}") from error
    return parity


def _compare(opened: Opened, made: Path, fit: Fit, backbone: Backbone | None) -> Parity:
    manifest, seed, before = opened.metadata.manifest, int(fit.spec.seed), None
    if backbone is not None:
        against = test_inputs.synthetic(backbone, seed=seed)
    elif manifest["backbone"] is None:
        against = test_inputs.from_vectors(fit.references.vectors, seed=seed)
    else:
        inputs = test_inputs.noise(manifest["input"]["shape"][0], seed=seed)
        against = Queries(inputs, np.empty((0, fit.references.dim)))
        answered = FORMATS[opened.format].load(opened.path)(inputs)
        row_of = {name: row for row, name in enumerate(fit.references.ids)}
        rows = np.array([row_of.get(name, -1) for name in opened.fit.references.ids])
        before = Neighbors(answered["scores"].astype(np.float64), rows[answered["indices"]])
    judge = Judges(against, backbone).of(opened.format)
    return compare(opened.format, made, opened.precision, fit, judge, before)


def _projection(
    manifest: Mapping[str, Any], places: Slots, held: Mapping[str, NDArray[Any]]
) -> Projection | None:
    if not (said := manifest["projection"]):
        return None
    bias = np.array(held["bias"] if "bias" in held else held["moved_bias"])
    kernel = np.array(_table(places, held, "projection", manifest["references"]["dim"]))
    return Projection(kernel=kernel, bias=bias, variance=said["variance"], by=said["by"])


def _table(places: Slots, held: Mapping[str, NDArray[Any]], name: str, height: int) -> NDArray[Any]:
    turned = places.constants[name][0][-1] == "T"
    flat = held[name]
    return flat.reshape(-1, height).T if turned else flat.reshape(height, -1)


def _fit(spec: Spec, metadata: Metadata, places: Slots, held: Mapping[str, NDArray[Any]]) -> Fit:
    rows, manifest = metadata.rows(), metadata.manifest

    matrix = _table(places, held, "references", len(rows))
    if METRICS[spec.metric].SPARE:
        middle = held["middle"] if "middle" in held else np.zeros(matrix.shape[1] - 1, "f4")
        matrix = matrix[:, :-1] + middle
    projection = _projection(manifest, places, held)
    if projection is not None:
        back = np.linalg.pinv(projection.kernel.astype(np.float64))
        matrix = (matrix - projection.bias) @ back
    labels = [str(row["label"]) for row in rows] if manifest["references"]["per_label"] else None
    found = [OF_PICTURE.fullmatch(str(row["id"])) for row in rows]
    pictures = manifest["backbone"] is not None and all(found)
    references = References.of(
        matrix,
        labels,
        classes=list(manifest["references"]["per_label"]) or None,
        ids=[str(row["id"]) for row in rows],
        paths=[str(row["path"]) for row in rows],
        # An id begins as the hash of its picture does, so copies are still known as such.
        sha256=[match[1] for match in found if match] if pictures else None,
        targets=_table(places, held, "targets", len(rows)) if manifest["targets"] else None,
        target_names=manifest["targets"] or None,
        provenance=provenance_of(manifest),
    )
    if projection is None:
        return Fit(spec=spec, space=space_of(spec, references))
    space = Space(
        references=references, metric=str(spec.metric), projection=projection, seed=spec.seed
    )
    return Fit(spec=spec, space=space)
