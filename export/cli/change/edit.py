"""pocketknn edit: other references in a file, without building it anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from pocketknn.builder.backbones.load import Backbone, is_installed
from pocketknn.builder.embedding.embed import embed
from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.decode import Photo
from pocketknn.builder.photos.find import check_classes, find
from pocketknn.builder.references.references import References
from pocketknn.builder.system.atomic_file import recover
from pocketknn.export.cli.console import tables
from pocketknn.export.cli.console.quiet import say
from pocketknn.export.cli.console.terminal import command_line, console
from pocketknn.export.editing import edit
from pocketknn.export.formats.artefact import FORMATS, format_of
from pocketknn.export.formats.requirements import check
from pocketknn.export.manifest.owned import foreign_in_package
from pocketknn.export.manifest.stored import Opened, open_artefact
from pocketknn.export.output.checksums import size
from pocketknn.export.output.names import MANIFEST, REFERENCES

_NAMED = 3  # classes in a warning


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What to do, in this order. It holds for the photos that come in as for what is there.

    Attributes:
        remove: ids of references that go; `add` does not bring the same picture of the same class
            back.
        remove_classes: classes that go with all their references; of `add` they are left out.
        rename: classes with other names, as OLD=NEW, by which those of `add` are called too.
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
    recover(target)
    _check_place(path, target, out is not None and not force)
    opened = open_artefact(path)
    check(f"editing {path.name}", FORMATS[opened.format].RUNTIME)
    before = opened.fit.references
    coming = find(changes.add, note=say) if changes.add is not None else []
    names = _renamed(before, changes, {photo.label for photo in coming})
    kept = _kept(before, changes, names)
    known = kept.labels
    needed = changes.add is not None or weights is not None
    net = edit.backbone_of(opened, weights) if needed or _at_hand(opened) else None
    if changes.add is not None:
        gone = {
            (_picture(name), names.get(before.label_of(row), before.label_of(row)))
            for row, name in enumerate(before.ids)
            if name in changes.remove
        }
        kept = _with_photos(opened, kept, _wanted(coming, changes, names), net, gone)
    fit = edit.with_references(opened, kept)
    parity = edit.rewrite(opened, fit, target, net)
    for line in _never_seen(
        opened, [name for name in kept.labels if name not in known], changes.add
    ):
        console.print(line, markup=False)
    rows = [tables.Row(target.name, size(target), parity)]
    if not parity.agrees:
        for line in tables.failures(rows):
            console.print(line, style="red", markup=False)
        console.print(f"{target} was left as it was", markup=False)
        return False
    console.print(
        f"{target}: {len(before)} references became {len(kept)},"
        f" {len(before.labels)} classes {len(kept.labels)}",
        markup=False,
    )
    console.print(tables.parity_table(rows))
    return True


def _never_seen(opened: Opened, new: Sequence[str], photos: Path | None) -> list[str]:
    """A warning where the space was learned without some of the classes, and the way out."""
    if not new or opened.fit.scores_of != "classes":
        return []
    names = ", ".join(map(repr, new[:_NAMED])) + (", …" if len(new) > _NAMED else "")
    build, given = opened.path.parent, command_line(str(photos))
    if (build / MANIFEST).is_file() and (build / REFERENCES).is_file():
        way = f"pocketknn refs add {command_line(str(build))} {given} -o grown.parquet, then"
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
    if target.is_dir() and (foreign := foreign_in_package(target)):
        raise InputError(
            f"{target} holds {foreign!r}, which would be lost; name another with --out"
        )
    if (target.resolve().parent / MANIFEST).is_file():
        raise InputError(
            f"{target} is part of a build, whose other files would no longer agree with it;"
            " name a place elsewhere with --out"
        )


def _kept(references: References, changes: Changes, names: Mapping[str, str]) -> References:
    if changes.remove or changes.remove_classes:
        references = references.remove(changes.remove, changes.remove_classes)
    there = {old: new for old, new in names.items() if old in references.labels}
    return references.relabel(there) if there else references


def _renamed(before: References, changes: Changes, coming: Set[str]) -> dict[str, str]:
    """Old names to new ones; no two classes of the file get one name."""
    names: dict[str, str] = {}
    left = [name for name in before.labels if name not in changes.remove_classes]
    for pair in changes.rename:
        old, equals, new = pair.partition("=")
        if not (old and equals and new):
            raise InputError(f"a class is renamed by OLD=NEW, not {pair!r}")
        if old in names:
            raise InputError(f"the class {old!r} is renamed twice")
        if old in changes.remove_classes:
            raise InputError(f"the class {old!r} is renamed and taken out")
        if old not in left and old not in coming:
            before.check_there(classes=[old])
        names[old] = new
    after = [names.get(label, label) for label in left]
    for name in sorted(set(after)):
        if after.count(name) > 1:
            raise InputError(f"two classes would be called {name!r}")
    check_classes(after)
    return names


def _wanted(coming: Sequence[Photo], changes: Changes, names: Mapping[str, str]) -> list[Photo]:
    """The photos of classes that are not taken out, under the new names of theirs."""
    left = [photo for photo in coming if photo.label not in changes.remove_classes]
    if fewer := len(coming) - len(left):
        console.print(f"{fewer} of the photos are of classes taken out, and stay out", markup=False)
    return [replace(photo, label=names.get(photo.label, photo.label)) for photo in left]


def _with_photos(
    opened: Opened,
    references: References,
    photos: Sequence[Photo],
    net: Backbone | None,
    gone: Set[tuple[str, str]],
) -> References:
    """With photos put in, each where a build would have put it.

    `gone` are picture and class of what was taken out.
    """
    if net is None:
        raise InputError(f"{opened.path.name} is a model of feature vectors; it takes no photos")
    if not photos:
        return references
    embedded = embed(photos, net, opened.metadata.manifest["input"]["crop"])
    for one in embedded.skipped:
        console.print(f"skipped {one.name}: {one.reason}", markup=False)
    found = embedded.references()
    known = {*references.ids, *references.sha256}
    pictures = [_picture(name) for name in found.ids]
    there = [row for row, picture in enumerate(pictures) if picture in known]
    back = [
        row
        for row, picture in enumerate(pictures)
        if picture not in known and (picture, found.label_of(row)) in gone
    ]
    if there:
        console.print(f"{len(there)} of the photos are in the file already", markup=False)
    if back:
        console.print(f"{len(back)} of the photos are taken out, and stay out", markup=False)
    new = sorted(set(range(len(found))) - {*there, *back})
    if not new:
        return references
    merged = references.merge(found.select(new))
    check_classes(merged.labels)
    return _in_order(merged) if _is_in_order(references) else merged


def _picture(name: str) -> str:
    """An id is the start of the picture's hash, and for copies a number."""
    return name.partition("-")[0]


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
