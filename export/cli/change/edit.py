"""pocketknn edit: change the references in a file without building it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.builder.wording import counted
from pocketknn.export.cli import options
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say
from pocketknn.export.report.wording import command_line

if TYPE_CHECKING:
    from pocketknn.export.manifest.read_back import Opened

_NAMED = 3  # classes in a warning


def edit(
    artefact: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help=f"A model file: {options.ENDINGS}; or a build's folder."
        ),
    ],
    add: Annotated[
        Path | None, typer.Option(help="Photos to add, one folder per class as for build.")
    ] = None,
    remove_class: Annotated[
        list[str] | None, typer.Option(help="A class to remove; may be repeated.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(help="The id of a reference to remove; may be repeated.")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(help="A new name for a class, as OLD=NEW; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="File or folder to write; if omitted, a file is edited in place."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="The weights file or .keras backbone the model was built with."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace the file at --out.")] = False,
) -> None:
    """Remove references from a model file or a build, or add photos.

    A model file is changed without building it again. A build's folder is built again with the same
    choices, into the new folder --out.

    --remove and --remove-class apply first, then --rename, then --add. Photos to add follow the
    same rules: those of a removed class are not added, those of a renamed class get its new name.

    Examples:
        pocketknn edit out/model.tflite --remove-class apple -o edited.tflite
        pocketknn edit out --add new-photos -o out-2
        pocketknn edit out --rename apple=pear -o out-3
    """
    from pocketknn.builder.backbones.load import is_available
    from pocketknn.builder.system.atomic_file import recover
    from pocketknn.export.cli.console import tables
    from pocketknn.export.cli.console.terminal import console
    from pocketknn.export.editing import changes as changing
    from pocketknn.export.editing import edit
    from pocketknn.export.editing.changes import Changes
    from pocketknn.export.formats.files import format_of
    from pocketknn.export.formats.requirements import check
    from pocketknn.export.formats.table import FORMATS
    from pocketknn.export.manifest.read_back import open_artefact
    from pocketknn.export.output.checksums import size

    from .edit_build import edit_build, is_build, takes_vectors

    changes = Changes(
        remove=tuple(remove or ()),
        remove_classes=tuple(remove_class or ()),
        rename=tuple(rename or ()),
        add=add,
    )
    if changes == Changes():
        raise InputError(
            "nothing to do: give --add, --remove-class, --remove or --rename", "nothing-to-do"
        )
    if is_build(artefact):
        edit_build(artefact, changes, out, weights, force=force)
        return
    target = out or artefact
    recover(target)
    format_of(artefact)  # refuses a build's folder before places are compared
    _check_place(artefact, target, out is not None and not force)
    opened = open_artefact(artefact)
    check(f"editing {artefact.name}", FORMATS[opened.format].RUNTIME)
    before = opened.fit.references
    added = builder.find(add, note=note) if add is not None else []
    names = changing.names_of(before, changes, {photo.label for photo in added})
    kept = changing.kept(before, changes, names)
    opened = opened.without_vectors()  # which are no longer needed
    before, known = opened.fit.references, kept.labels
    origin = opened.metadata.manifest["backbone"]
    # If the backbone is available, the new file is checked on pictures.
    available = origin and is_available(origin["name"], origin["sha256"])
    wanted = add is not None or weights is not None or available
    net = edit.backbone_of(opened, weights) if wanted else None
    if add is not None:
        if net is None:
            raise takes_vectors(artefact.name)
        crop = opened.metadata.manifest["input"]["crop"]
        kept = changing.with_photos(before, kept, changes, names, added, net, crop, say)
    parity = edit.rewrite(opened, edit.with_references(opened, kept), target, net)
    say(*_never_seen(opened, [name for name in kept.labels if name not in known], add))
    rows = [tables.Row(target.name, size(target), parity)]
    if not parity.agrees:
        for line in tables.failures(rows):
            console.print(line, style="red", markup=False)
        say(f"{target} was not changed")
        raise typer.Exit(1)
    say(
        f"{target}: {counted(len(before), 'reference')} → {len(kept)},"
        f" {counted(len(before.labels), 'class', 'classes')} → {len(kept.labels)}"
    )
    console.print(tables.parity_table(rows))


def _never_seen(opened: Opened, new: Sequence[str], photos: Path | None) -> list[str]:
    """A warning if the projection was learned without some of the classes, and the remedy."""
    from .edit_build import is_build

    if not new or opened.fit.scores_of != "classes":
        return []
    names = ", ".join(map(repr, new[:_NAMED])) + (", …" if len(new) > _NAMED else "")
    build, given = opened.path.parent, command_line(str(photos))
    if is_build(build):
        remedy = f"pocketknn edit {command_line(str(build))} --add {given} -o NEW"
    else:
        remedy = f"pocketknn build PHOTOS -o NEW, with {given} among the PHOTOS"
    return [
        f"warning: the projection was learned without {names}, so these will often be mistaken for"
        " other classes; to include them, build again:",
        f"  {remedy}",
    ]


def _check_place(path: Path, target: Path, new: bool) -> None:
    from pocketknn.export.manifest.artefact import metadata_of
    from pocketknn.export.manifest.build_folder import foreign_in_package
    from pocketknn.export.output.names import MANIFEST

    if target.suffix != path.suffix:
        raise InputError(f"{target} must end in {path.suffix}, as {path.name} does", "wrong-suffix")
    if new and target.exists():
        raise InputError(
            f"{target} exists; choose another name, or replace it with --force", "file-exists"
        )
    if target.exists() and target != path:
        try:
            metadata_of(target)
        except InputError as error:
            raise InputError(
                f"{target} was not written by pocketknn; --force replaces only files that were",
                "foreign-file",
            ) from error
    if target.is_dir() and (foreign := foreign_in_package(target)):
        raise InputError(
            f"{target} holds {foreign!r}, which would be lost; name another with --out",
            "foreign-file",
        )
    if (target.resolve().parent / MANIFEST).is_file():
        raise InputError(
            f"{target} is part of a build, whose other files would no longer agree with it;"
            " name a file elsewhere with --out",
            "part-of-build",
        )
