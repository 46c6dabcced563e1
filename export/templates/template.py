"""A graph that is converted once, for any later references.

The official converters slow down with every reference: they would take many seconds and gigabytes.
So they get a graph with a few made-up references (`builder.graph.placeholder`), whose values and
sizes are then located in the file they write. Such a file is a template: its format's `fill` can
insert any references.

The backbone and the rest, the head, are converted separately if the format can join the two: a head
then serves every backbone, and a backbone every head.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pocketknn.builder.graph.wire import BACKBONE
from pocketknn.builder.system.atomic_file import NEW, workplace
from pocketknn.builder.system.cache import mark_used
from pocketknn.builder.system.untrusted_json import parse_json
from pocketknn.export.formats.keras import apart
from pocketknn.export.formats.storage.slots import Slots
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.output.checksums import digest
from pocketknn.export.output.names import MODEL

from .content import content_of
from .order import Order as Order

FACTS = "template.json"


@dataclass(frozen=True, kw_only=True)
class Template:
    """A converted graph over made-up references.

    Attributes:
        path: the file.
        slots: the places in it where data depends on the references.
    """

    path: Path
    slots: Slots

    def copy(self, folder: Path) -> Path:
        """Copy the file into a folder; returns where it is."""
        copied = folder / self.path.name
        (shutil.copytree if self.path.is_dir() else shutil.copyfile)(self.path, copied)
        return copied


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

    A graph is not cached if it has so few references that it depends on their number.

    Args:
        order: what to convert.
        note: called with a message for the user if a cached template could not be used.
        keep: whether to cache a new template; a new backbone, which serves any choice, always is.
    """
    join, (backbone, *rest) = FORMATS[order.format].join, parts_of(order)
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
        if (found := intact(order, ready)) is not None:
            yield found
            return
        note(f"the {order.format} template of this installation is damaged and is converted again")
    kept = order.kept()
    if kept is not None and (found := _open(order, kept, note)) is not None:
        yield found
        return
    with tempfile.TemporaryDirectory() as folder:
        made = make(order, Path(folder))
        if kept is not None and keep:
            _keep(made, kept, note)
        yield made


def parts_of(order: Order) -> tuple[Order, ...]:
    """The parts to convert separately: the backbone, then the head, if the format can join them."""
    if order.backbone is None or FORMATS[order.format].join is None:
        return (order,)
    return replace(order, outputs=BACKBONE), replace(order, backbone=None)


def make(order: Order, folder: Path) -> Template:
    """Convert with the official converter, with made-up references if the graph allows it."""
    path = folder / f"{MODEL}{FORMATS[order.format].SUFFIX}"
    if from_litert(order, path):
        return Template(path=path, slots=Slots())
    from . import converting, elsewhere

    slots = elsewhere.converted(order, path)
    if slots is None:
        apart.end()  # Keras is imported here now
        slots = converting.converted(order, path)
    return Template(path=path, slots=slots)


def from_litert(order: Order, path: Path) -> bool:
    """Write a packaged backbone alone, which takes no converter; False if this is not one."""
    backbone, write_it = order.backbone, FORMATS[order.format].from_litert
    if order.outputs != BACKBONE or backbone is None or backbone.graph is None or not write_it:
        return False
    return write_it(backbone.graph(), backbone.size, path, order.options, order.precision)


def _open(order: Order, kept: Path, note: Callable[[str], None]) -> Template | None:
    """The template in the cache if it is intact; otherwise it is removed."""
    if (found := intact(order, kept)) is not None:
        mark_used(kept)
        return found
    with suppress(OSError):
        if not kept.exists():
            return None
    shutil.rmtree(kept, ignore_errors=True)
    note(f"the {order.format} template in the cache was damaged; rebuilding it")
    return None


def intact(order: Order, folder: Path) -> Template | None:
    """The template in a folder; None if it is damaged, or another version wrote it."""
    path = folder / f"{MODEL}{FORMATS[order.format].SUFFIX}"
    with suppress(OSError, ValueError, KeyError, TypeError):
        facts = parse_json((folder / FACTS).read_text("utf-8"))
        if facts["sha256"] == digest(path):
            return Template(path=path, slots=Slots(**facts["slots"]))
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
