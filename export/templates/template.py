"""A graph that was converted once, for every set of references to come.

The official converters know nothing of references, and pay for each of them: seconds and gigabytes.
So they are given a graph over few made-up ones (`builder.graph.placeholder`), whose values and
sizes are then found in the file they make. Such a file is a template: `fill` of its format puts any
references in.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pocketknn import builder
from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.backbones.networks.keras_models import fresh_names
from pocketknn.builder.graph.placeholder import is_fixed, stand_in
from pocketknn.builder.graph.wire import wire
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.system.atomic_file import NEW, workplace
from pocketknn.builder.system.cache import USUAL, Cache, mark_used
from pocketknn.builder.system.untrusted_json import parse_json
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.requirements import PACKAGES, installed
from pocketknn.export.formats.storage.slots import Slots
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.output.checksums import digest
from pocketknn.export.output.names import MODEL

from .content import content_of

_FACTS = "template.json"


@dataclass(frozen=True, kw_only=True)
class Template:
    """A converted graph over made-up references.

    Attributes:
        path: the file.
        slots: where in it lies what depends on the references.
    """

    path: Path
    slots: Slots


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """What is to be converted.

    Attributes:
        format: its name in `FORMATS`.
        fit: the choices; of the references only what changes the graph counts.
        backbone: the feature extractor, or None.
        precision: of the backbone.
        options: how the files are written.
        outputs: as for `builder.graph.wire`.
        calibration: what int8 takes its ranges from.
        cache: keeps the template; None keeps none.
    """

    format: str
    fit: Fit
    backbone: Backbone | None
    precision: str
    options: Options
    outputs: str = "neighbors"
    calibration: NDArray[Any] | None = None
    cache: Cache | None = USUAL

    def key(self) -> str:
        """Hash of all that decides what the converted graph is."""
        fit, references = self.fit, self.fit.references
        projection = fit.space.projection
        said = [
            self.format,
            self.precision,
            self.options.pixels,
            self.options.ios,
            self.outputs,
            self.backbone.identity() if self.backbone else None,
            references.dim,
            None if projection is None else len(projection.bias),
            fit.k,
            *(getattr(fit.spec, name) for name in ("head", "metric", "vote", "balanced")),
            fit.threshold is None,
            len(references.target_names),
            *(fit.index.numbers if fit.index else ()),
            _versions(),
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:24]


def write(
    order: Order,
    metadata: Metadata,
    path: Path,
    note: Callable[[str], None] = lambda line: None,
    *,
    keep: bool = True,
) -> None:
    """Write an artefact: a template, with the references in it.

    Args:
        order: what it computes.
        metadata: what it says about itself.
        path: a name that is free.
        note: called with a line for people when a kept template could not be used.
        keep: a template that was made for it is kept, as a later build may want it.
    """
    content = content_of(order.fit, order.precision, order.outputs)
    with template(order, note, keep=keep) as found:
        said = replace(metadata, slots=asdict(found.slots))
        FORMATS[order.format].fill(found.path, path, found.slots, content, said.files())


@contextmanager
def template(
    order: Order, note: Callable[[str], None] = lambda line: None, *, keep: bool = True
) -> Iterator[Template]:
    """The template for an order: of the cache, or converted now.

    Not kept are int8 files, as the ranges in them belong to the pictures that they were taken from,
    and the graphs over so few references that their number decides the graph.

    Args:
        order: what is to be converted.
        note: called with a line for people when a kept template could not be used.
        keep: one that is made is kept.
    """
    place = order.cache.drawer("templates") if order.cache else None
    kept = None
    if place is not None and order.precision != "int8" and not is_fixed(order.fit):
        kept = place / f"{order.format}-{order.key()}"
    if kept is not None and (found := _open(order, kept, note)) is not None:
        yield found
        return
    with tempfile.TemporaryDirectory() as folder:
        made = _make(order, Path(folder))
        if kept is not None and keep:
            _keep(made, kept, note)
        yield made


def _make(order: Order, folder: Path) -> Template:
    """Convert with the official converter, over made-up references where the graph allows that."""
    target, fit = FORMATS[order.format], order.fit
    if not is_fixed(fit):
        fit = stand_in(fit, _sizes(order.backbone))
    path = folder / f"{MODEL}{target.SUFFIX}"
    with fresh_names(), _no_bytecode():
        model = wire(fit, order.backbone, precision=order.precision, outputs=order.outputs)
        with _frozen():
            target.convert(
                model, path, fit.labels, order.options, order.precision, order.calibration
            )
    if is_fixed(fit):
        return Template(path=path, slots=Slots())
    content = content_of(fit, order.precision, order.outputs)
    slots = target.locate(path, content)
    if small := content.small():
        slots = target.narrow(path, slots, small)
    return Template(path=path, slots=slots)


@contextmanager
def _frozen() -> Iterator[None]:
    """Spare the garbage collector what is there already: TensorFlow is a million objects.

    coremltools collects in full, several times in each conversion.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """TensorFlow imports functions that it wrote into the temporary folder, and removes them.

    Not so what Python would keep beside them.
    """
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _sizes(backbone: Backbone | None) -> set[int]:
    """All sizes that tensors of a backbone have."""
    if backbone is None:
        return set()
    layers = backbone.model._flatten_layers()
    shapes = [getattr(layer, "output", None) for layer in layers]
    found = {size for weight in backbone.model.weights for size in weight.shape}
    for shape in (getattr(one, "shape", ()) for one in shapes):
        found |= {size for size in shape if size is not None}
    return found


def _open(order: Order, kept: Path, note: Callable[[str], None]) -> Template | None:
    """What the cache holds, if it is whole; else it is removed."""
    path = kept / f"{MODEL}{FORMATS[order.format].SUFFIX}"
    try:
        facts = parse_json((kept / _FACTS).read_text("utf-8"))
        if facts["sha256"] == digest(path):
            mark_used(kept)
            return Template(path=path, slots=Slots(**facts["slots"]))
    except (FileNotFoundError, NotADirectoryError):
        if not kept.exists():
            return None
    except (OSError, ValueError, KeyError, TypeError):
        pass  # it is as good as damaged
    shutil.rmtree(kept, ignore_errors=True)
    note(f"the {order.format} template in the cache was damaged and is made anew")
    return None


def _keep(made: Template, kept: Path, note: Callable[[str], None]) -> None:
    """Put a template into the cache; a fault of the cache never ends a build."""
    facts = {"sha256": digest(made.path), "slots": asdict(made.slots)}
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with workplace(kept) as work:
            (new := work / NEW).mkdir()
            copy = shutil.copytree if made.path.is_dir() else shutil.copyfile
            copy(made.path, new / made.path.name)
            (new / _FACTS).write_text(json.dumps(facts), "utf-8", newline="")
            new.rename(kept)  # fails where another build put one there, which others may be reading
    except OSError as error:
        if not kept.exists():
            note(f"the template cache {kept.parent} cannot be used: {error.strerror or error}")


@functools.cache
def _versions() -> dict[str, str]:
    """Of everything that takes part in a conversion; of ourselves the very code."""
    code = hashlib.sha256()
    for folder in (Path(builder.__file__).parent, Path(__file__).parents[1]):
        for path in sorted(folder.rglob("*.py")):
            code.update(path.read_bytes())
    return installed(*PACKAGES) | {"pocketknn": code.hexdigest()}
