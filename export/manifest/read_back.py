"""Read the references back from a file alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.errors import OF_THE_MACHINE, InputError
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.metric_space import Space
from pocketknn.builder.knn.projected import space_of
from pocketknn.builder.knn.projection.pca import Projection
from pocketknn.builder.references.match import OF_PICTURE
from pocketknn.builder.references.references import References
from pocketknn.builder.system.free_memory import check_free
from pocketknn.export.formats.files import format_of
from pocketknn.export.formats.storage.slots import Slots
from pocketknn.export.formats.table import FORMATS

from .artefact import metadata_of
from .metadata import Metadata, provenance_of, spec_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pocketknn.builder.spec import Spec

_PROJECTED = ("projection", "bias", "moved_bias")
# Windows cannot replace a memory-mapped file, so a file to be edited is read into memory.
KEEPS_WHAT_IS_MAPPED = sys.platform == "win32"


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """An artefact, and the choices and references read back from it.

    Attributes:
        format: its name in `FORMATS`.
        path: the file.
        metadata: its metadata.
        fit: the references in it, under its metric and projection.
    """

    format: str
    path: Path
    metadata: Metadata
    fit: Fit

    @property
    def precision(self) -> str:
        """The precision of the backbone."""
        return str(self.metadata.manifest["precision"][self.format])

    def without_vectors(self) -> Opened:
        """The same with zeros for the references' vectors, to free their memory."""
        references = self.fit.references.without_vectors()
        space = replace(self.fit.space, references=references)
        return replace(self, fit=replace(self.fit, space=space))


def open_artefact(path: Path) -> Opened:
    """Read the references back from a file of any format.

    Files for cosine hold unit vectors, and files with a projection hold components, so the result
    is the vectors that are compared, not those that the backbone computed.

    Raises:
        InputError: the file does not exist, is not ours, is damaged, cannot be read back, or holds
            more references than fit into memory.
    """
    name = format_of(path)
    metadata = metadata_of(path, checked=True)
    manifest = metadata.manifest
    if "indices" not in manifest["outputs"]:
        raise InputError(
            f"{path.name} stops before the top-k; only files with a top-k can be edited", "no-top-k"
        )
    search = manifest["search"]
    if SEARCHES[search["by"]].SCANS or search["references_precision"] != "float32":
        raise InputError(
            f"{path.name} holds {search['references_precision']} references for the search"
            f" {search['by']}; only float32 references for the exact search can be read back from a"
            " file: change references.parquet with pocketknn refs, and build again",
            "cannot-read-back",
        )
    if name not in manifest["precision"]:
        raise InputError(
            f"the manifest of {path.name} is broken: it names no precision for {name}",
            "manifest-broken",
        )
    _check_room(path, manifest)
    with understood(path):
        places = Slots(**metadata.slots)
        held = FORMATS[name].constants(path, places)
        if KEEPS_WHAT_IS_MAPPED:
            held = {key: np.array(values) for key, values in held.items()}
        fit = _fit(spec_of(manifest), metadata, places, held)
    return Opened(format=name, path=path, metadata=metadata, fit=fit)


def projection_of(path: Path) -> Projection | None:
    """The projection in a file, whatever its search and the precision of its references.

    Raises:
        InputError: the file does not exist, is not ours, or is damaged.
    """
    name = format_of(path)
    metadata = metadata_of(path, checked=True)
    with understood(path):
        places = Slots(**metadata.slots)
        some = {key: places.constants[key] for key in _PROJECTED if key in places.constants}
        held = FORMATS[name].constants(path, Slots(constants=some))
        return _projection(metadata.manifest, places, held)


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Turn any error while reading or writing slots of a file into a one-line `InputError`."""
    try:
        yield
    except (OSError, InputError, *OF_THE_MACHINE):
        raise
    except Exception as error:  # slots that do not fit this file may raise anything
        raise InputError(
            f"{path.name} does not record where its references are: an older version wrote it, or"
            " it holds too few of them; build it again",
            "no-slots",
        ) from error


def _check_room(path: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse a file whose references do not fit into memory; `_fit` shows what they need."""
    n, d = manifest["references"]["count"], manifest["references"]["dim"]
    if manifest["projection"]:
        each = 8 * d + 4 * d  # brought back in float64
    else:
        each = 4 * d * (2 if METRICS[manifest["metric"]].SPARE else 1)
    size = f"{n:,} references of {d} values in {path.name}"
    check_free(f"the {size}", n * each)


def _projection(
    manifest: Mapping[str, Any], places: Slots, held: Mapping[str, NDArray[Any]]
) -> Projection | None:
    if not (facts := manifest["projection"]):
        return None
    bias = np.array(held["bias"] if "bias" in held else held["moved_bias"])
    kernel = np.array(_table(places, held, "projection", manifest["references"]["dim"]))
    return Projection(kernel=kernel, bias=bias, variance=facts["variance"], by=facts["by"])


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
        # An id starts with the hash of its picture, so copies can still be recognised.
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
