"""pocketknn refs new and add: turn photos into references, in a new file or added to others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.class_names import check_alike
from pocketknn.builder.photos.remote import place_of
from pocketknn.builder.system.cache import Cache
from pocketknn.builder.wording import counted
from pocketknn.export.cli import options
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say
from pocketknn.export.cli.inapplicable import check_place
from pocketknn.export.pipeline.request import skipped_lines

from .arguments import File, Force, New, Places, Reading
from .files import (
    check_free,
    conflicts,
    described,
    opened_for,
    save,
    save_change,
)

_PICTURES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif"),
    *(".ppm", ".heic", ".heif"),
)


def new(
    context: typer.Context,
    photos: Places,
    *,
    out: New,
    network: options.Network,
    crop: options.Crop = "center",
    columns: options.Targets,
    reading: Reading,
    force: Force = False,
) -> None:
    """Make a new file of references from photos.

    Examples:
        pocketknn refs new photos -o refs.parquet
        pocketknn refs new photos -o refs.parquet --backbone bundled
    """
    from pocketknn.export.formats.requirements import check

    check("refs new", ["pyarrow"])
    check_place(context, photos)
    spec = builder.Spec(**asdict(network), crop=crop)
    check_free(out, force)
    targets = columns.target_column or []
    found = _photos_in(photos, columns, targets, reading, out)
    net, done = _embedded(found, spec, reading, lambda cache: builder.load_backbone(spec, cache))
    refs = done.references(target_names=targets or None)
    conflict = conflicts(refs)
    if reading.strict and conflict:
        raise InputError(conflict, "contradicting-classes")
    save(refs, out, force)
    say(f"{described(refs)}; written to {out}")
    say(f"  backbone {net.name} at {net.size}×{net.size}, {counted(net.dim, 'value')} each")
    if net.why:
        say(f"  {net.why}")
    if conflict:
        say(f"warning: {conflict}")
    say(*skipped_lines(done.skipped))


def add(
    context: typer.Context,
    file: File,
    photos: Places,
    *,
    out: New,
    backbone: Annotated[
        str, typer.Option(help="The .keras backbone that the references were made with.")
    ] = "auto",
    weights: options.Weights = None,
    columns: options.Columns,
    reading: Reading,
    force: Force = False,
) -> None:
    """Add photos, embedded as the existing references were.

    A photo that is already present, in the same class, is not added again.

    Examples:
        pocketknn refs add out new-photos -o grown.parquet
        pocketknn refs add out picture.jpg --label apple -o grown.parquet
    """
    from pocketknn.builder.backbones.load import backbone_of, is_available
    from pocketknn.builder.references.same_picture import joined

    check_place(context, photos)
    refs = opened_for(out, file, force)
    if refs.provenance is None:
        raise InputError(
            f"{file} holds vectors of an unknown backbone, so no photo can be added",
            "unknown-backbone",
        )
    found = _photos_in(photos, columns, refs.target_names, reading, out)
    _check_go_with(refs, found)
    spec = builder.Spec(backbone=backbone, weights=weights, crop=refs.provenance.crop)
    named = Path(refs.provenance.backbone)
    there = named.is_file() or is_available(refs.provenance.backbone, refs.provenance.sha256)
    if spec.backbone == "auto" and named.suffix == ".keras" and not there:
        raise InputError(
            f"{file} was made with {named}; give that file with --backbone FILE", "backbone-missing"
        )
    _, done = _embedded(found, spec, reading, lambda cache: backbone_of(refs, spec, cache))
    # The backbone's file may have been renamed since; its weights were compared.
    more = done.references(target_names=refs.target_names or None)
    both, again = joined(refs, replace(more, provenance=refs.provenance))
    if reading.strict and (conflict := conflicts(both, refs)):
        raise InputError(conflict, "contradicting-classes")
    notes = [f"{counted(again, 'photo')} already present"] if again else []
    save_change(refs, both, out, force, notes=notes)
    say(*skipped_lines(done.skipped))


def _photos_in(
    places: Sequence[str],
    columns: options.Columns,
    targets: Sequence[str],
    reading: Reading,
    out: Path,
) -> list[builder.Photo]:
    """The photos from folders, tables and archives, and single pictures, with their classes."""
    from pocketknn.builder.photos.occasions import with_occasions
    from pocketknn.builder.photos.readers import is_within
    from pocketknn.builder.references.files import is_collection

    found: list[builder.Photo] = []
    alone: list[int] = []
    for place in map(place_of, places):
        if is_collection(place):
            raise InputError(
                f"{place} holds references, not photos; see pocketknn refs merge", "not-photos"
            )
        if isinstance(place, Path) and place.is_dir() and is_within(out, place):
            raise InputError(f"{out} must not be among the photos in {place}", "out-among-photos")
        if isinstance(place, Path) and place.is_file() and place.suffix.lower() in _PICTURES:
            alone.append(len(found))
            found.append(_picture(place))
        else:
            selection = options.selection_of(
                place, columns, targets, reading.exclude, occasions=reading.occasions
            )
            found += selection.find(note)
    if alone and reading.occasions:
        pictures = with_occasions([found[one] for one in alone], reading.occasions, note)
        for one, picture in zip(alone, pictures, strict=True):
            found[one] = picture
    check_alike((), [photo.label for photo in found])
    if reading.label is None:
        return found
    from pocketknn.builder.references.ml5_forms import checked_label

    for photo in found:
        if photo.label:
            raise InputError(
                f"{photo.name} is in the class {photo.label!r} already;"
                " --label is for photos without a class",
                "class-known",
            )
    return [replace(photo, label=checked_label(reading.label)) for photo in found]


def _picture(path: Path) -> builder.Photo:
    from pocketknn.builder.photos.find import not_utf_8

    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name {path.name!r} {not_utf_8()}", "name-not-utf8") from error
    return builder.Photo(name=path.name, label="", content=path.read_bytes)


def _check_go_with(refs: builder.References, photos: Sequence[builder.Photo]) -> None:
    """Check, before embedding, that photos have labels and targets if the references do."""
    labels = {photo.label for photo in photos} - {""}
    if refs.labels and not labels:
        raise InputError(
            "the references have classes but the photos have none; add --label NAME",
            "labels-mismatch",
        )
    if labels and not refs.labels:
        raise InputError(
            f"the references have no classes, but a photo is in {min(labels)!r}", "labels-mismatch"
        )
    check_alike(refs.labels, labels)
    for photo in photos:
        if len(photo.targets) != len(refs.target_names):
            raise InputError(
                f"{photo.name} has no value for {', '.join(refs.target_names)}", "target-missing"
            )


def _embedded(
    photos: Sequence[builder.Photo],
    spec: builder.Spec,
    reading: Reading,
    load: Callable[[Cache | None], builder.Backbone | None],
) -> tuple[builder.Backbone, builder.Embedded]:
    """The photos embedded with a spec's crop, and the backbone that embedded them."""
    from pocketknn.export.cli.console.terminal import watched
    from pocketknn.export.pipeline.material import embed_photos

    cache = options.cache_of(reading.no_cache)
    with watched() as watch:
        watch.step("loading the backbone", None)
        net = load(cache)
        assert net is not None, "it was named"
        watch.step("embedding", len(photos))
        return net, embed_photos(photos, net, spec.crop, cache, watch, strict=reading.strict)
