"""Changes to a file's references: remove some, rename classes, add photos."""

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
from pocketknn.builder.system.free_memory import check_free
from pocketknn.builder.wording import counted


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What to do, in this order. The rules apply to existing references and to added photos.

    Attributes:
        remove: ids of references to remove; `add` does not bring back the same picture in the same
            class.
        remove_classes: classes to remove with all their references; their photos in `add` are
            skipped.
        rename: new names for classes, as OLD=NEW; photos in `add` get them too.
        add: photos to add, laid out as for a build.
    """

    remove: tuple[str, ...] = ()
    remove_classes: tuple[str, ...] = ()
    rename: tuple[str, ...] = ()
    add: Path | None = None


def names_of(before: References, changes: Changes, added: Set[str]) -> dict[str, str]:
    """Map old class names to new ones; no two classes of the file get the same name.

    Args:
        before: the references of the file.
        changes: what to do.
        added: the classes of the photos to add.

    Raises:
        InputError: a class does not exist, or is named twice.
    """
    names: dict[str, str] = {}
    left = [name for name in before.labels if name not in changes.remove_classes]
    for pair in changes.rename:
        old, equals, new = pair.partition("=")
        if not (old and equals and new):
            raise InputError(f"{pair!r} is not of the form OLD=NEW", "bad-rename")
        if old in names:
            raise InputError(f"the class {old!r} is renamed twice", "two-names")
        if old in changes.remove_classes:
            raise InputError(
                f"the class {old!r} is both renamed and removed", "renamed-and-removed"
            )
        if old not in left and old not in added:
            before.check_there(classes=[old])
        names[old] = new
    after = [names.get(label, label) for label in left]
    for name in sorted(set(after)):
        if after.count(name) > 1:
            raise InputError(f"two classes would be called {name!r}", "same-name-twice")
    check_classes(after)
    return names


def kept(references: References, changes: Changes, names: Mapping[str, str]) -> References:
    """The remaining references, under their new names.

    Raises:
        InputError: none would remain, or there is not enough memory to copy them.
    """
    if changes.remove or changes.remove_classes:
        check_free("the references that remain", references.vectors.nbytes)
        references = references.remove(changes.remove, changes.remove_classes)
    present = {old: new for old, new in names.items() if old in references.labels}
    return references.relabel(present) if present else references


def with_photos(
    before: References,
    references: References,
    changes: Changes,
    names: Mapping[str, str],
    added: Sequence[Photo],
    net: Backbone,
    crop: str,
    say: Callable[[str], None],
) -> References:
    """Add photos to the references, in the order that a build would give them.

    Args:
        before: the references of the file or build.
        references: those that remain after the changes.
        changes: what was done to the references.
        names: maps old names of classes to new ones.
        added: the photos.
        net: the backbone that embeds them.
        crop: how they are cropped.
        say: takes a message for the user.
    """
    gone = {
        (picture_of(name), names.get(before.label_of(row), before.label_of(row)))
        for row, name in enumerate(before.ids)
        if name in changes.remove
    }
    wanted = [photo for photo in added if photo.label not in changes.remove_classes]
    if fewer := len(added) - len(wanted):
        single = "of the photos is in a removed class and was not added"
        say(counted(fewer, single, "of the photos are in removed classes and were not added"))
    if not wanted:
        return references
    photos = [replace(photo, label=names.get(photo.label, photo.label)) for photo in wanted]
    embedded = embed(photos, net, crop)
    for one in embedded.skipped:
        say(f"skipped {one.name}: {one.reason}")
    found = embedded.references()
    known = {*references.ids, *references.sha256}
    new, present, removed = [], 0, 0
    for row, name in enumerate(found.ids):
        if (picture := picture_of(name)) in known:
            present += 1
        elif (picture, found.label_of(row)) in gone:
            removed += 1
        else:
            new.append(row)
    if present:
        single, several = (f"of the photos {verb} already in the file" for verb in ("is", "are"))
        say(counted(present, single, several))
    if removed:
        single = "of the photos is a picture that was removed, so it was not added again"
        several = "of the photos are pictures that were removed, so they were not added again"
        say(counted(removed, single, several))
    if not new:
        return references
    merged = references.merge(found.select(new))
    check_classes(merged.labels)
    usual = _in_order(references)
    as_usual = (usual.ids, usual.labels) == (references.ids, references.labels)
    return _in_order(merged) if as_usual else merged


def _in_order(references: References) -> References:
    """Sort references as in a build from a folder: by label, then by name."""
    keys = [(references.label_of(row), path) for row, path in enumerate(references.paths)]
    ordered = references.select(sorted(range(len(references)), key=keys.__getitem__))
    return ordered.in_order(sorted(ordered.labels)) if ordered.labels else ordered
