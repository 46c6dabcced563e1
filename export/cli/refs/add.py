"""pocketknn refs add: photos beside the references of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.export.cli.inapplicable import check_place
from pocketknn.export.cli.options import Columns, Weights

from .arguments import File, Force, New, Places, Reading


def add(
    context: typer.Context,
    file: File,
    photos: Places,
    *,
    out: New,
    backbone: Annotated[
        str, typer.Option(help="Where the .keras file is that the references come from.")
    ] = "auto",
    weights: Weights = None,
    columns: Columns,
    reading: Reading,
    force: Force = False,
) -> None:
    """Add photos, embedded as the others were.

    A photo that is there already, in the same class, is not added again.
    """
    from pocketknn.builder.backbones.load import backbone_of
    from pocketknn.export.output.atomic_file import check_new

    from .files import PARQUET, conflicts, counted, joined, located, opened, save_change
    from .source import embedded, photos_in, print_skipped

    check_place(context, photos)
    check_new(out, [PARQUET], force, [located(file)])
    refs = opened(file)
    if refs.provenance is None:
        raise InputError(f"{file} holds vectors of no known backbone, so no photo can be added")
    found = photos_in(photos, columns, refs.target_names, reading, out)
    _check_go_with(refs, found)
    spec = builder.Spec(backbone=backbone, weights=weights, crop=refs.provenance.crop)
    named = Path(refs.provenance.backbone)
    if spec.backbone == "auto" and named.suffix == ".keras" and not named.is_file():
        raise InputError(f"{file} comes from {named}; say where that is with --backbone FILE")
    _, done = embedded(found, spec, reading, lambda cache: backbone_of(refs, spec, cache))
    # The backbone's file may have another name by now; its weights were compared.
    more = done.references(target_names=refs.target_names or None)
    both, again = joined(refs, replace(more, provenance=refs.provenance))
    if reading.strict and (conflict := conflicts(both, refs)):
        raise InputError(conflict)
    notes = [f"{counted(again, 'photo')} there already"] if again else []
    save_change(refs, both, out, force, notes=notes)
    print_skipped(done.skipped)


def _check_go_with(refs: builder.References, photos: Sequence[builder.Photo]) -> None:
    """Refuse photos without the labels or targets of the references, before they are embedded."""
    from .files import check_alike

    labels = {photo.label for photo in photos} - {""}
    if refs.labels and not labels:
        raise InputError("the references have classes and the photos have none; say --label NAME")
    if labels and not refs.labels:
        raise InputError(f"the references have no classes, but a photo is of {min(labels)!r}")
    check_alike(refs.labels, labels)
    for photo in photos:
        if len(photo.targets) != len(refs.target_names):
            raise InputError(f"{photo.name} has no value for {', '.join(refs.target_names)}")
