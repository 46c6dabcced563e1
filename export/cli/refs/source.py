"""Photos that become references: where they are, and how they are read and embedded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.embedding.embedded import Embedded, Skipped
from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.find import not_utf_8
from pocketknn.builder.photos.photo import Photo
from pocketknn.builder.photos.readers import is_within
from pocketknn.builder.references.files import is_collection
from pocketknn.builder.references.ml5_forms import checked_label
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import Cache
from pocketknn.export.cli.console.progress import watched
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say
from pocketknn.export.cli.options import Columns, cache_of, selection_of
from pocketknn.export.pipeline.embedding import embed_photos

from .arguments import Reading
from .files import check_alike

_PICTURES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif"),
    *(".ppm", ".heic", ".heif"),
)
_SHOWN = 10


def photos_in(
    places: Sequence[Path],
    columns: Columns,
    targets: Sequence[str],
    reading: Reading,
    out: Path,
) -> list[Photo]:
    """The photos of folders, tables and archives, and single pictures, with their classes.

    Raises:
        InputError: there are none, the label is for photos that have classes already, or `out`
            would lie among them.
    """
    found: list[Photo] = []
    for place in places:
        if is_collection(place):
            raise InputError(f"{place} holds references, not photos; see pocketknn refs merge")
        if place.is_dir() and is_within(out, place):
            raise InputError(f"{out} must not lie among the photos in {place}")
        selection = selection_of(place, columns, targets, reading.exclude)
        found += [_picture(place)] if _is_picture(place) else selection.find(note)
    check_alike((), [photo.label for photo in found])
    if reading.label is None:
        return found
    for photo in found:
        if photo.label:
            raise InputError(
                f"{photo.name} is in the class {photo.label!r} already;"
                " --label is for photos that are in none"
            )
    return [replace(photo, label=checked_label(reading.label)) for photo in found]


def embedded(
    photos: Sequence[Photo],
    spec: Spec,
    reading: Reading,
    load: Callable[[Cache | None], Backbone | None],
) -> tuple[Backbone, Embedded]:
    """Photos, embedded with the crop of a spec, and the backbone that did it."""
    cache = cache_of(reading.no_cache)
    with watched() as watch:
        watch.step("loading the backbone", None)
        net = load(cache)
        assert net is not None, "it was named"
        watch.step("embedding", len(photos))
        return net, embed_photos(photos, net, spec.crop, cache, watch, strict=reading.strict)


def print_skipped(skipped: Sequence[Skipped]) -> None:
    """Say which photos were left out, and why."""
    if skipped:
        say(f"{len(skipped)} skipped:")
    for one in skipped[:_SHOWN]:
        say(f"  {one.name}: {one.reason}")
    if len(skipped) > _SHOWN:
        say(f"  … and {len(skipped) - _SHOWN} more")


def _picture(path: Path) -> Photo:
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name {path.name!r} {not_utf_8()}") from error
    return Photo(name=path.name, label="", content=path.read_bytes)


def _is_picture(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in _PICTURES
