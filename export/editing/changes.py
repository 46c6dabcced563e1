"""Other references for a file: some go, classes get other names, and photos come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.embedding.local import embed
from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.class_names import check_classes
from pocketknn.builder.photos.photo import Photo
from pocketknn.builder.references.references import References
from pocketknn.builder.references.same_picture import picture_of
from pocketknn.export.manifest.read_back import Opened


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


def names_of(before: References, changes: Changes, coming: Set[str]) -> dict[str, str]:
    """Old names of classes to new ones; no two classes of the file get one name.

    Args:
        before: the references of the file.
        changes: what is to be done.
        coming: the classes of the photos that come in.

    Raises:
        InputError: a name that is not there, or is given twice.
    """
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


def kept(references: References, changes: Changes, names: Mapping[str, str]) -> References:
    """The references that stay, under their new names."""
    if changes.remove or changes.remove_classes:
        references = references.remove(changes.remove, changes.remove_classes)
    there = {old: new for old, new in names.items() if old in references.labels}
    return references.relabel(there) if there else references


def with_photos(
    opened: Opened,
    references: References,
    changes: Changes,
    names: Mapping[str, str],
    coming: Sequence[Photo],
    net: Backbone | None,
    say: Callable[[str], None],
) -> References:
    """With photos put in, each where a build would have put it.

    Args:
        opened: the file.
        references: what of it stays.
        changes: what was done to these.
        names: old names of classes to new ones.
        coming: the photos.
        net: embeds them.
        say: takes a line for people.

    Raises:
        InputError: it is a model of feature vectors.
    """
    before = opened.fit.references
    gone = {
        (picture_of(name), names.get(before.label_of(row), before.label_of(row)))
        for row, name in enumerate(before.ids)
        if name in changes.remove
    }
    wanted = [photo for photo in coming if photo.label not in changes.remove_classes]
    if fewer := len(coming) - len(wanted):
        say(f"{fewer} of the photos are of classes taken out, and stay out")
    if net is None:
        raise InputError(f"{opened.path.name} is a model of feature vectors; it takes no photos")
    if not wanted:
        return references
    photos = [replace(photo, label=names.get(photo.label, photo.label)) for photo in wanted]
    embedded = embed(photos, net, opened.metadata.manifest["input"]["crop"])
    for one in embedded.skipped:
        say(f"skipped {one.name}: {one.reason}")
    found = embedded.references()
    known = {*references.ids, *references.sha256}
    new, there, back = [], 0, 0
    for row, name in enumerate(found.ids):
        if (picture := picture_of(name)) in known:
            there += 1
        elif (picture, found.label_of(row)) in gone:
            back += 1
        else:
            new.append(row)
    if there:
        say(f"{there} of the photos are in the file already")
    if back:
        say(f"{back} of the photos are taken out, and stay out")
    if not new:
        return references
    merged = references.merge(found.select(new))
    check_classes(merged.labels)
    usual = _in_order(references)
    as_usual = (usual.ids, usual.labels) == (references.ids, references.labels)
    return _in_order(merged) if as_usual else merged


def _in_order(references: References) -> References:
    """As a build of a folder has them: rows by label, then by name."""
    keys = [(references.label_of(row), path) for row, path in enumerate(references.paths)]
    ordered = references.select(sorted(range(len(references)), key=keys.__getitem__))
    return ordered.in_order(sorted(ordered.labels)) if ordered.labels else ordered
