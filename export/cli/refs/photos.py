"""pocketknn refs new and add: photos become references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pocketknn.builder.backbones.load import Backbone, backbone_of, load_backbone
from pocketknn.builder.embedding import cache as caches
from pocketknn.builder.embedding.cache import Cache
from pocketknn.builder.embedding.embedded import Embedded, Skipped
from pocketknn.builder.embedding.local import embed
from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.decode import Photo
from pocketknn.builder.photos.find import not_utf_8
from pocketknn.builder.photos.readers import is_within
from pocketknn.builder.references.files import is_collection
from pocketknn.builder.references.ml5_json import checked_label
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import Spec
from pocketknn.export.cli.console.progress import progress
from pocketknn.export.cli.console.terminal import say
from pocketknn.export.cli.make.build import Selection
from pocketknn.export.output.atomic_file import check_new

from .files import (
    PARQUET,
    check_alike,
    conflicts,
    counted,
    described,
    joined,
    located,
    opened,
    save,
    save_change,
)

_PICTURES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif"),
    *(".ppm", ".heic", ".heif"),
)
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Source:
    """Photos, and how they are read.

    Attributes:
        selections: folders, tables, archives and single pictures.
        label: the class to put them into, where they are in none; or None.
        strict: refuse a picture that cannot be read, or is in two classes.
        cached: remember embeddings, and use those that are remembered.
    """

    selections: Sequence[Selection]
    label: str | None = None
    strict: bool = False
    cached: bool = True

    def find(self, out: Path) -> list[Photo]:
        """The photos, with their classes.

        Raises:
            InputError: there are none, `label` is for photos that have classes already, or `out`
                would lie among them.
        """
        found: list[Photo] = []
        for selection in self.selections:
            place = selection.photos
            if is_collection(place):
                raise InputError(f"{place} holds references, not photos; see pocketknn refs merge")
            if isinstance(place, str):
                found += selection.find()
                continue
            if place.is_dir() and is_within(out, place):
                raise InputError(f"{out} must not lie among the photos in {place}")
            found += [_picture(place)] if _is_picture(place) else selection.find()
        check_alike((), [photo.label for photo in found])
        if self.label is None:
            return found
        for photo in found:
            if photo.label:
                raise InputError(
                    f"{photo.name} is in the class {photo.label!r} already;"
                    " --label is for photos that are in none"
                )
        return [replace(photo, label=checked_label(self.label)) for photo in found]


def new_references(source: Source, out: Path, spec: Spec, force: bool) -> None:
    """Embed photos and keep them as references."""
    check_new(out, [PARQUET], force)
    photos = source.find(out)
    net, embedded = _embedded(photos, source, lambda: load_backbone(spec), spec.crop)
    refs = embedded.references(target_names=source.selections[0].target_columns or None)
    conflict = conflicts(refs)
    if source.strict and conflict:
        raise InputError(conflict)
    save(refs, out, force)
    say(f"{described(refs)}; written to {out}")
    say(f"  backbone {net.name} at {net.size}×{net.size}, {counted(net.dim, 'value')} each")
    if net.why:
        say(f"  {net.why}")
    if conflict:
        say(f"warning: {conflict}")
    _print_skipped(embedded.skipped)


def add_photos(file: Path, source: Source, out: Path, spec: Spec, force: bool) -> None:
    """Embed photos as those of a file were, and keep both in a new one.

    Args:
        file: references that name their backbone.
        source: the photos; those that are references already are not added twice.
        out: the new file.
        spec: `auto`, or where the backbone that the file names is found; weights, if it takes any.
        force: replace `out`.
    """
    check_new(out, [PARQUET], force, [located(file)])
    refs = opened(file)
    if refs.provenance is None:
        raise InputError(f"{file} holds vectors of no known backbone, so no photo can be added")
    source = replace(
        source,
        selections=[replace(one, target_columns=refs.target_names) for one in source.selections],
    )
    photos = source.find(out)
    _check_go_with(refs, photos)
    spec = replace(spec, crop=refs.provenance.crop)
    named = Path(refs.provenance.backbone)
    if spec.backbone == "auto" and named.suffix == ".keras" and not named.is_file():
        raise InputError(f"{file} comes from {named}; say where that is with --backbone FILE")
    _, embedded = _embedded(photos, source, lambda: _backbone(refs, spec), spec.crop)
    # The backbone's file may have another name by now; its weights were compared.
    more = replace(
        embedded.references(target_names=refs.target_names or None), provenance=refs.provenance
    )
    both, again = joined(refs, more)
    if source.strict and (conflict := conflicts(both, refs)):
        raise InputError(conflict)
    notes = [f"{counted(again, 'photo')} there already"] if again else []
    save_change(refs, both, out, force, notes=notes)
    _print_skipped(embedded.skipped)


def _picture(path: Path) -> Photo:
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name {path.name!r} {not_utf_8()}") from error
    return Photo(name=path.name, label="", content=path.read_bytes)


def _is_picture(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in _PICTURES


def _backbone(refs: References, spec: Spec) -> Backbone:
    net = backbone_of(refs, spec)
    assert net is not None, "the references have a provenance"
    return net


def _check_go_with(refs: References, photos: Sequence[Photo]) -> None:
    """Refuse photos without the labels or targets of the references, before they are embedded."""
    labels = {photo.label for photo in photos} - {""}
    if refs.labels and not labels:
        raise InputError("the references have classes and the photos have none; say --label NAME")
    if labels and not refs.labels:
        raise InputError(f"the references have no classes, but a photo is of {min(labels)!r}")
    check_alike(refs.labels, labels)
    for photo in photos:
        if len(photo.targets) != len(refs.target_names):
            raise InputError(f"{photo.name} has no value for {', '.join(refs.target_names)}")


def _embedded(
    photos: Sequence[Photo], source: Source, load: Callable[[], Backbone], crop: str
) -> tuple[Backbone, Embedded]:
    with progress() as bar:
        step = bar.add_task("loading the backbone", total=None)
        net = load()
        place = caches.folder() if source.cached else None
        cache = Cache.of(place, net, crop) if place else None
        bar.update(step, description="embedding", total=len(photos))
        embedded = embed(
            photos,
            net,
            crop,
            strict=source.strict,
            cache=cache,
            progress=lambda done: bar.advance(step, done),
        )
    for line in cache.notes if cache else net.engine.notes:
        say(line)
    return net, embedded


def _print_skipped(skipped: Sequence[Skipped]) -> None:
    if skipped:
        say(f"{len(skipped)} skipped:")
    for one in skipped[:_SHOWN]:
        say(f"  {one.name}: {one.reason}")
    if len(skipped) > _SHOWN:
        say(f"  … and {len(skipped) - _SHOWN} more")
