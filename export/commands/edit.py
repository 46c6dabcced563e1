"""pocketknn edit: other references in a file, without building it anew."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketknn.builder.backbone import Backbone, is_installed
from pocketknn.builder.embedding import embed
from pocketknn.builder.errors import InputError
from pocketknn.builder.references import References
from pocketknn.builder.sources import check_classes, find
from pocketknn.export import editing, report
from pocketknn.export.artefact import FORMATS, format_of
from pocketknn.export.editing import Opened
from pocketknn.export.metadata import MANIFEST, REFERENCES
from pocketknn.export.quiet import say
from pocketknn.export.report import console
from pocketknn.export.seal import size

_NAMED = 3  # classes in a warning


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What to do, in this order.

    Attributes:
        remove: ids of references that go.
        remove_classes: classes that go with all their references.
        rename: classes with other names, as OLD=NEW.
        add: photos to put in, laid out as for a build.
    """

    remove: tuple[str, ...] = ()
    remove_classes: tuple[str, ...] = ()
    rename: tuple[str, ...] = ()
    add: Path | None = None


def edit_artefact(
    path: Path, changes: Changes, out: Path | None, weights: Path | None, force: bool
) -> bool:
    """Change the references of an artefact; prints what changed. Whether the new file agrees.

    Raises:
        InputError: nothing to do, something that is not there, or a result that cannot be.
    """
    if changes == Changes():
        raise InputError("nothing to do: say --add, --remove-class, --remove or --rename")
    target = out or path
    _check_place(path, target, out is not None and not force)
    opened = editing.open_artefact(path)
    before = opened.fit.references
    kept = _kept(before, changes)
    known = kept.labels
    needed = changes.add is not None or weights is not None
    net = editing.backbone_of(opened, weights) if needed or _at_hand(opened) else None
    if changes.add is not None:
        kept = _with_photos(opened, kept, changes.add, net)
    fit = editing.with_references(opened, kept)
    parity = editing.rewrite(opened, fit, target, net)
    for line in _never_seen(
        opened, [name for name in kept.labels if name not in known], changes.add
    ):
        console.print(line, markup=False)
    rows = [report.Row(target.name, size(target), parity)]
    if not parity.agrees:
        for line in report.failures(rows):
            console.print(line, style="red", markup=False)
        console.print(f"{target} was left as it was", markup=False)
        return False
    console.print(
        f"{target}: {len(before)} references became {len(kept)},"
        f" {len(before.labels)} classes {len(kept.labels)}",
        markup=False,
    )
    console.print(report.parity_table(rows))
    return True


def _never_seen(opened: Opened, new: Sequence[str], photos: Path | None) -> list[str]:
    """A warning where the space was learned without some of the classes, and the way out."""
    if not new or opened.fit.scores_of != "classes":
        return []
    names = ", ".join(map(repr, new[:_NAMED])) + (", …" if len(new) > _NAMED else "")
    build, given = opened.path.parent, shlex.quote(str(photos))
    if (build / MANIFEST).is_file() and (build / REFERENCES).is_file():
        way = f"pocketknn refs add {shlex.quote(str(build))} {given} -o grown.parquet, then"
        way += " pocketknn build grown.parquet -o NEW"
    else:
        way = f"pocketknn build PHOTOS -o NEW, with {given} among the PHOTOS"
    return [
        f"warning: the file compares what tells its old classes apart, so {names} will often be"
        " taken for others; build anew for good answers:",
        f"  {way}",
    ]


def _check_place(path: Path, target: Path, new: bool) -> None:
    if target.suffix != path.suffix:
        raise InputError(f"{target} must end in {path.suffix}, as {path.name} does")
    if new and target.exists():
        raise InputError(f"{target} exists; choose another name, or replace it with --force")
    if target.exists() and target != path:
        try:
            FORMATS[format_of(target)].read(target)
        except InputError as error:
            raise InputError(f"{target} is not ours, and --force replaces nothing else") from error
    if (target.parent / MANIFEST).is_file():
        raise InputError(
            f"{target} is part of a build, whose other files would no longer agree with it;"
            " name a place elsewhere with --out"
        )


def _kept(references: References, changes: Changes) -> References:
    if changes.remove or changes.remove_classes:
        references = references.remove(changes.remove, changes.remove_classes)
    if changes.rename:
        references = references.relabel(_renamed(references, changes.rename))
    return references


def _renamed(references: References, pairs: Sequence[str]) -> dict[str, str]:
    """Old names to new ones, none of which another class has."""
    names: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not (old and equals and new):
            raise InputError(f"a class is renamed by OLD=NEW, not {pair!r}")
        if old in names:
            raise InputError(f"the class {old!r} is renamed twice")
        names[old] = new
    after = [names.get(label, label) for label in references.labels]
    for name in sorted(set(after)):
        if after.count(name) > 1:
            raise InputError(f"two classes would be called {name!r}")
    check_classes(after)
    return names


def _with_photos(
    opened: Opened, references: References, photos: Path, net: Backbone | None
) -> References:
    """With photos put in, each where a build would have put it."""
    if net is None:
        raise InputError(f"{opened.path.name} is a model of feature vectors; it takes no photos")
    embedded = embed(find(photos, note=say), net, opened.metadata.manifest["input"]["crop"])
    for one in embedded.skipped:
        console.print(f"skipped {one.name}: {one.reason}", markup=False)
    found = embedded.references()
    known = {*references.ids, *references.sha256}
    # An id is the start of the picture's hash, and for copies a number.
    new = [row for row, name in enumerate(found.ids) if name.partition("-")[0] not in known]
    if again := len(found) - len(new):
        console.print(f"{again} of the photos are in the file already", markup=False)
    if not new:
        return references
    merged = references.merge(found.select(new))
    check_classes(merged.labels)
    return _in_order(merged) if _is_in_order(references) else merged


def _is_in_order(references: References) -> bool:
    return list(references.labels) == sorted(references.labels) and _order(references) == list(
        range(len(references))
    )


def _in_order(references: References) -> References:
    ordered = references.select(_order(references))
    return ordered.in_order(sorted(ordered.labels)) if ordered.labels else ordered


def _order(references: References) -> list[int]:
    """Rows as a build of a folder has them: by label, then by name."""
    return sorted(
        range(len(references)), key=lambda row: (references.label_of(row), references.paths[row])
    )


def _at_hand(opened: Opened) -> bool:
    """Whether the backbone of a file is here, so that the new file can be run on pictures."""
    said = opened.metadata.manifest["backbone"]
    return said is not None and is_installed(said["name"])
