"""Find the choices that suit some photos or references."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from pocketknn.builder.backbones.load import load_backbone
from pocketknn.builder.embedding.embedded import Skipped
from pocketknn.builder.errors import InputError
from pocketknn.builder.references.files import is_collection, read_collection
from pocketknn.builder.references.references import References
from pocketknn.builder.selection import cross_validation
from pocketknn.builder.selection.cross_validation import check_folds
from pocketknn.builder.selection.grid import VECTOR, Grid
from pocketknn.builder.selection.results import Tuning
from pocketknn.builder.spec import Spec
from pocketknn.builder.system.cache import Cache

from .material import embed_photos
from .request import Selection, Watch, skipped_lines


def tune(
    selection: Selection, spec: Spec, grid: Grid, *, folds: int, cache: Cache | None, watch: Watch
) -> Tuning:
    """Cross-validate every combination of a grid.

    Args:
        selection: the photos, or a file of references, which records its crop.
        spec: the backbone and the seed.
        grid: the values to try.
        folds: the number of folds.
        cache: stores embeddings; None for no cache.
        watch: receives progress and remarks.

    Raises:
        InputError: the photos do not suit the grid or the folds.
    """
    if is_collection(selection.photos):
        return _of_references(selection, spec, grid, folds, watch)
    return _of_photos(selection, spec, grid, folds, cache, watch)


def _of_references(
    selection: Selection, spec: Spec, grid: Grid, folds: int, watch: Watch
) -> Tuning:
    """Tune on references that are already embedded."""
    path = selection.photos
    assert is_collection(path)
    references = read_collection(path)
    if grid.crops is not None:
        raise InputError(
            f"{path} holds embeddings, which cannot be cropped again", "option-not-applicable"
        )
    origin = references.provenance
    if origin is None:
        spec = replace(spec, backbone=VECTOR)
    grid = replace(grid, crops=(origin.crop if origin else spec.crop,))
    grid = grid.filled(bool(references.target_names))
    watch.step("cross-validating", grid.searches(folds))
    return cross_validation.tune(
        spec, grid, lambda crop: references, folds=folds, progress=watch.done
    )


def _of_photos(
    selection: Selection, spec: Spec, grid: Grid, folds: int, cache: Cache | None, watch: Watch
) -> Tuning:
    """Tune on photos, which are embedded once per crop."""
    photos = selection.find(watch.note)
    sizes = Counter(photo.label for photo in photos if photo.label)
    columns = selection.target_columns
    if not sizes and not columns:
        raise InputError(
            "tuning compares accuracies: put the photos of each class in a folder of its own, or"
            " name a table's --label-column or --target-column",
            "no-classes",
        )
    # Check what can be checked before embedding; unreadable pictures and copies may make the
    # training parts smaller still.
    n = sizes.total() or len(photos)
    check_folds(folds, n, {} if columns else sizes)
    grid = grid.filled(bool(columns))
    largest = n - -(-n // folds)
    grid.ks_within(largest)
    watch.step("loading the backbone", None)
    net = load_backbone(spec, cache)
    grid.check_components(largest, net.dim)
    skipped: dict[Skipped, None] = {}

    def references_of(crop: str) -> References:
        watch.step(f"embedding, crop {crop}", len(photos))
        embedded = embed_photos(photos, net, crop, cache, watch)
        skipped.update(dict.fromkeys(embedded.skipped))
        watch.step("cross-validating", grid.searches(folds) // len(grid.all_crops))
        return embedded.references(None, columns or None)

    # Name the backbone: auto may pick another one later, which these choices do not suit.
    named = spec if spec.backbone != "auto" else replace(spec, backbone=net.name)
    found = cross_validation.tune(named, grid, references_of, folds=folds, progress=watch.done)
    for line in skipped_lines(list(skipped), most=5):
        watch.remark(line)
    return found
