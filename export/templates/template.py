"""A graph that is converted once, for any later references.

The official converters slow down with every reference: they would take many seconds and gigabytes.
So they are given a graph over a few made-up references (`builder.graph.placeholder`), whose values
and sizes are then located in the file they write. Such a file is a template: its format's `fill`
can insert any references.

The backbone and the rest, the head, are converted apart where the format can join the two: a head
then serves every backbone, and a backbone every head.
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
from pocketknn.builder.graph.wire import BACKBONE, wire
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.system.atomic_file import NEW, workplace
from pocketknn.builder.system.cache import USUAL, Cache, mark_used
from pocketknn.builder.system.untrusted_json import parse_json
from pocketknn.export.formats.keras import apart
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.requirements import PACKAGES, installed
from pocketknn.export.formats.storage.slots import Slots
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.output.checksums import digest
from pocketknn.export.output.names import MODEL

from .content import content_of

FACTS = "template.json"
READY = Path(__file__).parent / "ready"


@dataclass(frozen=True, kw_only=True)
class Template:
    """A converted graph over made-up references.

    Attributes:
        path: the file.
        slots: where in it the data that depends on the references is.
    """

    path: Path
    slots: Slots

    def copy(self, folder: Path) -> Path:
        """Copy the file into a folder; returns where it is."""
        copied = folder / self.path.name
        (shutil.copytree if self.path.is_dir() else shutil.copyfile)(self.path, copied)
        return copied


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """What to convert.

    Attributes:
        format: its name in `FORMATS`.
        fit: the choices; references matter only as far as they change the graph.
        backbone: the feature extractor, or None.
        precision: precision of the backbone.
        options: how the files are written.
        outputs: as for `builder.graph.wire`.
        calibration: the pictures that calibrate int8.
        cache: stores the template; None for no cache.
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
        """Hash of everything that determines the converted graph."""
        return _hash([self.facts(), _versions()])

    def ready(self) -> Path | None:
        """The folder of the head if it comes with this package, see `make_ready`; or None."""
        folder = READY / self.name
        is_head = self.backbone is None and not self.is_fixed()
        return folder if is_head and folder.is_dir() else None

    def kept(self) -> Path | None:
        """Where the cache holds the template, if it has it; None if it is not cached."""
        place = self.cache.drawer("templates") if self.cache else None
        return None if place is None or self.is_fixed() else place / f"{self.format}-{self.key()}"

    def parts(self) -> tuple[Order, ...]:
        """What is converted apart: the backbone, then the head, if the format can join them."""
        if self.backbone is None or FORMATS[self.format].join is None:
            return (self,)
        return replace(self, outputs=BACKBONE), replace(self, backbone=None)

    @property
    def name(self) -> str:
        """A name for the graph that does not depend on versions."""
        return f"{self.format}-{_hash(self.facts())}"

    def facts(self) -> list[Any]:
        """Everything that determines the graph, apart from the versions of code and converters."""
        facts: list[Any] = [self.format, self.options.ios, self.outputs]
        if self.backbone:
            pictures = self.calibration if self.precision == "int8" else None
            ranges = None if pictures is None else hashlib.sha256(pictures.data).hexdigest()
            facts += [self.backbone.identity(), self.precision, self.options.pixels, ranges]
        return facts + (self._choices() if self.outputs != BACKBONE else [])

    def is_fixed(self) -> bool:
        """Whether the number of references determines the graph, so that no other can use it."""
        return self.outputs != BACKBONE and is_fixed(self.fit)

    def _choices(self) -> list[Any]:
        fit, references = self.fit, self.fit.references
        free = fit.free_sizes if self.backbone is None else {}
        whole = self.outputs == "neighbors"
        sizes = {"dim": references.dim, "width": fit.space.width}
        if whole:
            sizes["neighbors"] = fit.listed
        found: list[Any] = [
            {name: size for name, size in sizes.items() if name not in free},
            fit.space.projection is None,
            fit.spec.metric,
            # A memory's vote has the precision's threshold of exact hits in the graph.
            (fit.slots, self.precision) if fit.slots else None,
            *(fit.index.numbers if fit.index else ()),
        ]
        if whole and fit.head.OUTPUT is not None:
            found += [fit.spec.head, fit.spec.vote, fit.spec.balanced, fit.threshold is None]
            found += [len(references.target_names)]
        return found


def write(
    order: Order,
    metadata: Metadata,
    path: Path,
    note: Callable[[str], None] = lambda line: None,
    *,
    keep: bool = True,
) -> None:
    """Write an artefact: a template filled with the references.

    Args:
        order: what it computes.
        metadata: its metadata.
        path: the file to create.
        note: called with a message for the user if a cached template could not be used.
        keep: whether to cache a new template for later builds.
    """
    content = content_of(order.fit, order.precision, order.outputs)
    with template(order, note, keep=keep) as found:
        texts = replace(metadata, slots=asdict(found.slots)).files()
        FORMATS[order.format].fill(found.path, path, found.slots, content, texts)


@contextmanager
def template(
    order: Order, note: Callable[[str], None] = lambda line: None, *, keep: bool = True
) -> Iterator[Template]:
    """The template for an order: from the cache, or converted now.

    Graphs over so few references that their number determines the graph are not cached.

    Args:
        order: what to convert.
        note: called with a message for the user if a cached template could not be used.
        keep: whether to cache a new template, apart from the backbone, which serves any choice.
    """
    join, (backbone, *rest) = FORMATS[order.format].join, order.parts()
    if join is None or not rest:
        with _kept_or_made(order, note, keep=keep) as whole:
            yield whole
        return
    with (
        _kept_or_made(backbone, note, keep=True) as body,
        _kept_or_made(rest[0], note, keep=keep) as head,
        tempfile.TemporaryDirectory() as folder,
    ):
        path = Path(folder) / body.path.name
        yield Template(path=path, slots=join(body.path, head.path, path, head.slots))


@contextmanager
def _kept_or_made(order: Order, note: Callable[[str], None], *, keep: bool) -> Iterator[Template]:
    if (ready := order.ready()) is not None:
        facts = parse_json((ready / FACTS).read_text("utf-8"))
        path = ready / f"{MODEL}{FORMATS[order.format].SUFFIX}"
        yield Template(path=path, slots=Slots(**facts["slots"]))
        return
    kept = order.kept()
    if kept is not None and (found := _open(order, kept, note)) is not None:
        yield found
        return
    with tempfile.TemporaryDirectory() as folder:
        made = make(order, Path(folder))
        if kept is not None and keep:
            _keep(made, kept, note)
        yield made


def make(order: Order, folder: Path) -> Template:
    """Convert with the official converter, over made-up references if the graph allows it."""
    target, fit = FORMATS[order.format], order.fit
    path = folder / f"{MODEL}{target.SUFFIX}"
    if from_litert(order, path):
        return Template(path=path, slots=Slots())
    apart.end()  # Keras is imported here now
    varies = order.outputs != BACKBONE and not is_fixed(fit)
    if varies:
        fit = stand_in(fit, _sizes(order.backbone), free=order.backbone is None)
    with fresh_names(), _no_bytecode():
        model = wire(
            fit,
            order.backbone,
            precision=order.precision,
            outputs=order.outputs,
            slots=fit.slots if target.FIXED else None,
        )
        labels = () if order.outputs == BACKBONE else fit.labels
        precision = order.precision if order.backbone else "float32"
        with _frozen():
            target.convert(model, path, labels, order.options, precision, order.calibration)
    if not varies:
        return Template(path=path, slots=Slots())
    content = content_of(fit, order.precision, order.outputs)
    if order.backbone is not None:  # then the real ones are in the graph
        free = fit.free_sizes  # in the order of `content`, as equal sizes go by the first name
        sizes = {name: size for name, size in content.sizes.items() if name not in free}
        content = replace(content, sizes=sizes)
    slots = target.locate(path, content)
    if small := content.small():
        slots = target.narrow(path, slots, small)
    return Template(path=path, slots=slots)


def from_litert(order: Order, path: Path) -> bool:
    """Write a packaged backbone alone, which takes no converter; False if this is not one."""
    backbone, write_it = order.backbone, FORMATS[order.format].from_litert
    if order.outputs != BACKBONE or backbone is None or backbone.graph is None or not write_it:
        return False
    return write_it(backbone.graph(), backbone.size, path, order.options, order.precision)


@contextmanager
def _frozen() -> Iterator[None]:
    """Exempt existing objects from garbage collection: TensorFlow has a million of them.

    coremltools runs several full collections in each conversion. What a program froze itself
    stays frozen.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Write no bytecode: TensorFlow imports modules it wrote into the temporary folder.

    It removes them afterwards, but not the bytecode that Python would leave beside them.
    """
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _sizes(backbone: Backbone | None) -> set[int]:
    """All sizes that occur in a backbone's tensors."""
    if backbone is None:
        return set()
    layers = backbone.model._flatten_layers()
    shapes = [getattr(layer, "output", None) for layer in layers]
    found = {size for weight in backbone.model.weights for size in weight.shape}
    for shape in (getattr(one, "shape", ()) for one in shapes):
        found |= {size for size in shape if size is not None}
    return found


def _open(order: Order, kept: Path, note: Callable[[str], None]) -> Template | None:
    """The template in the cache if it is intact; otherwise it is removed."""
    path = kept / f"{MODEL}{FORMATS[order.format].SUFFIX}"
    try:
        facts = parse_json((kept / FACTS).read_text("utf-8"))
        if facts["sha256"] == digest(path):
            mark_used(kept)
            return Template(path=path, slots=Slots(**facts["slots"]))
    except (FileNotFoundError, NotADirectoryError):
        if not kept.exists():
            return None
    except (OSError, ValueError, KeyError, TypeError):
        pass  # treat it as damaged
    shutil.rmtree(kept, ignore_errors=True)
    note(f"the {order.format} template in the cache was damaged and is rebuilt")
    return None


def _keep(made: Template, kept: Path, note: Callable[[str], None]) -> None:
    """Put a template into the cache; a cache failure never stops a build."""
    facts = {"sha256": digest(made.path), "slots": asdict(made.slots)}
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with workplace(kept) as work:
            (new := work / NEW).mkdir()
            made.copy(new)
            (new / FACTS).write_text(json.dumps(facts), "utf-8", newline="")
            new.rename(kept)  # fails if another build was first; others may be reading that one
    except OSError as error:
        if not kept.exists():
            note(f"the template cache {kept.parent} cannot be used: {error.strerror or error}")


def _hash(facts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


@functools.cache
def _versions() -> dict[str, str]:
    """Versions of everything that takes part in a conversion; for ourselves a hash of the code."""
    code = hashlib.sha256()
    for folder in (Path(builder.__file__).parent, Path(__file__).parents[1]):
        for path in sorted(folder.rglob("*.py")):
            code.update(path.read_bytes())
    return installed(*PACKAGES) | {"pocketknn": code.hexdigest()}
