"""pocketknn edit of a build's folder: the same choices with other references, in a new folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.builder.wording import counted
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say
from pocketknn.export.editing.changes import Changes
from pocketknn.export.output.names import MANIFEST, REFERENCES, THUMBNAILS


def is_build(path: Path) -> bool:
    """Whether a path is the folder of a build, not a model file."""
    return path.is_dir() and (path / MANIFEST).is_file() and (path / REFERENCES).is_file()


def takes_vectors(name: str) -> InputError:
    """The error for adding photos to references that are feature vectors."""
    return InputError(f"{name} takes feature vectors, so no photos can be added", "takes-vectors")


def edit_build(
    folder: Path, changes: Changes, out: Path | None, weights: Path | None, *, force: bool
) -> None:
    """Build again with changed references and the same choices.

    Raises:
        InputError: no new folder was named, or the changes or the backbone do not fit the build.
    """
    from pocketknn.builder.backbones.load import backbone_of
    from pocketknn.builder.references.references import References
    from pocketknn.builder.system.cache import USUAL
    from pocketknn.export.cli.make.build import run
    from pocketknn.export.editing import changes as changing
    from pocketknn.export.manifest.build_folder import check_free
    from pocketknn.export.manifest.choices import chosen
    from pocketknn.export.manifest.metadata import manifest_of
    from pocketknn.export.pipeline.request import Request, Selection

    if out is None:
        raise InputError("name the folder to write with --out FOLDER", "missing-out")
    manifest = manifest_of(folder)
    spec, options = chosen(manifest)
    check_free(out, force)
    before = References.load(folder / REFERENCES)
    added = builder.find(changes.add, note=note) if changes.add is not None else []
    names = changing.names_of(before, changes, {photo.label for photo in added})
    after = changing.kept(before, changes, names)
    if changes.add is not None:
        net = backbone_of(before, builder.Spec(weights=weights))
        if net is None:
            raise takes_vectors(str(folder))
        crop = manifest["input"]["crop"]
        after = changing.with_photos(before, after, changes, names, added, net, crop, say)
    say(f"{counted(len(before), 'reference')} → {len(after)}, with the choices of {folder}")
    if manifest.get("condensed"):
        say("the references of that build were condensed; the photos added are all kept")
    if THUMBNAILS in manifest["files"]:
        say("thumbnails are not copied; to get them, build from the photos with --thumbnails")
    request = Request(
        selection=Selection(photos=folder / REFERENCES),
        references=after,
        spec=replace(spec, weights=weights),
        options=options,
        formats=tuple(manifest["parity"]),
        with_names=any(before.paths),
    )
    del before  # it takes as much memory as the references that are built
    result = run(request, out, force=force, cache=USUAL, title=out.resolve().name)
    raise typer.Exit(0 if result.agrees else 1)
