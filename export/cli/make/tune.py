"""pocketknn tune: which k, metric, vote, projection and crop suit these photos."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path

from pocketknn.builder.backbones.load import load_backbone
from pocketknn.builder.embedding import cache as caches
from pocketknn.builder.embedding.cache import Cache
from pocketknn.builder.embedding.embed import Skipped, embed
from pocketknn.builder.errors import InputError
from pocketknn.builder.references.files import is_collection, read_collection
from pocketknn.builder.references.references import References
from pocketknn.builder.selection.cross_validation import check_folds, tune
from pocketknn.builder.selection.grid import Grid
from pocketknn.builder.selection.results import Tuning
from pocketknn.builder.spec import Spec
from pocketknn.export.cli.console.progress import progress
from pocketknn.export.cli.console.terminal import command_line, console
from pocketknn.export.manifest.build_folder import check_apart, check_free, staged

from . import tuning_table as report
from .build import Selection
from .tuning_chart import draw
from .tuning_table import VECTOR

TABLE, PLOT = "tune.csv", "tune.png"
_SHOWN = 5


def tune_photos(
    selection: Selection,
    spec: Spec,
    grid: Grid,
    *,
    folds: int,
    out: Path | None = None,
    cached: bool = True,
) -> Tuning:
    """Photos to the choices that suit them: prints a table and the command that builds them.

    Args:
        selection: which photos, or a file of references, whose crop is known.
        spec: the backbone and the seed.
        grid: what is tried.
        folds: how many parts.
        out: a new folder for a table of all trials and a plot; None writes nothing.
        cached: remember embeddings.

    Raises:
        InputError: the photos, the grid and the folds do not go together.
    """
    if out is not None:
        if out.is_dir() and any(out.iterdir()):
            raise InputError(f"{out} exists; choose another folder")
        check_free(out, force=False)
        check_apart(out, selection.photos)
    kept = selection.photos if is_collection(selection.photos) else None
    found = (
        _tune_kept(kept, spec, grid, folds)
        if kept
        else _tune_found(selection, spec, grid, folds, cached)
    )
    for line in report.facts(found):
        console.print(line, markup=False)
    console.print(report.table(found))
    if out is not None:
        with staged(out, force=False) as folder:
            report.write(found, folder / TABLE)
            draw(found, folder / PLOT)
        console.print(f"{out} holds {TABLE} and {PLOT}", markup=False)
    console.print("Build what was chosen:", markup=False)
    console.print(f"  {command(selection, found.winner.spec)}", markup=False)
    return found


def grid_of(
    k: str | None,
    metric: str,
    vote: str | None,
    projection: str | None,
    crop: str | None,
    pca: str | None = None,
) -> Grid:
    """The grid from what was typed: values separated by commas.

    Args:
        k: as in `Grid.ks`, and so on.
        metric: see there.
        vote: see there.
        projection: see there.
        crop: see there.
        pca: an older spelling of projections: none, numbers of components, shares of variance.

    Raises:
        InputError: one of them is not a value of its kind.
    """
    return Grid(
        ks=None if k is None else tuple(_whole(word) for word in _words(k)),
        metrics=_words(metric),
        votes=None if vote is None else _words(vote),
        projections=_projections(projection, pca),
        crops=None if crop is None else _words(crop),
    )


def command(selection: Selection, chosen: Spec) -> str:
    """The command line that builds the chosen spec from the same photos."""
    words = ["pocketknn", "build", str(selection.photos), "-o", _free()]
    usual = Spec(backbone=VECTOR if chosen.backbone == VECTOR else "auto")
    for name in ("backbone", "weights", "alpha", "size", "input_range"):
        if (value := getattr(chosen, name)) != getattr(usual, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    if selection.path_column != Selection.path_column:
        words += ["--path-column", selection.path_column]
    if selection.label_column is not None:
        words += ["--label-column", selection.label_column]
    for column in selection.target_columns:
        words += ["--target-column", column]
    for pattern in selection.exclude:
        words += ["--exclude", pattern]
    if selection.limit is not None:
        words += ["--limit", str(selection.limit)]
    words += ["--k", str(chosen.k), "--metric", chosen.metric, "--vote", str(chosen.vote)]
    words += ["--projection", str(chosen.compared)]
    if chosen.backbone != VECTOR:
        words += ["--crop", chosen.crop]
    return command_line(*words)


def _tune_kept(path: Path, spec: Spec, grid: Grid, folds: int) -> Tuning:
    """Tune references that were embedded before."""
    references = read_collection(path)
    if grid.crops is not None:
        raise InputError(f"{path} holds embeddings, of which none can be cropped anew")
    origin = references.provenance
    if origin is None:
        spec = replace(spec, backbone=VECTOR)
    grid = replace(grid, crops=(origin.crop if origin else spec.crop,))
    grid = grid.filled(bool(references.target_names))
    with progress() as bar:
        step = bar.add_task("cross-validating", total=grid.searches(folds))
        return tune(
            spec,
            grid,
            lambda crop: references,
            folds=folds,
            progress=lambda done: bar.advance(step, done),
        )


def _tune_found(selection: Selection, spec: Spec, grid: Grid, folds: int, cached: bool) -> Tuning:
    """Tune photos, which are embedded once for each crop policy."""
    photos = selection.find()
    sizes = Counter(photo.label for photo in photos if photo.label)
    columns = selection.target_columns
    if not sizes and not columns:
        raise InputError(
            "tuning compares accuracies: put the photos of each class in a folder of its own, or"
            " name a table's --label-column or --target-column"
        )
    # What can be refused before the photos are embedded is refused now; pictures that cannot be
    # read and copies may make the training parts smaller still.
    n = sizes.total() or len(photos)
    check_folds(folds, n, {} if columns else sizes)
    grid = grid.filled(bool(columns))
    largest = n - -(-n // folds)
    grid.ks_within(largest)
    skipped: dict[Skipped, None] = {}
    caches_used: list[Cache] = []
    with progress() as bar:
        step = bar.add_task("loading the backbone", total=None)
        net = load_backbone(spec)
        grid.check_components(largest, net.dim)
        place = caches.folder() if cached else None
        bar.update(step, total=len(photos) * len(grid.all_crops))
        searches = bar.add_task("cross-validating", total=grid.searches(folds))

        def references_of(crop: str) -> References:
            bar.update(step, description=f"embedding, crop {crop}")
            cache = Cache.of(place, net, crop) if place else None
            if cache:
                caches_used.append(cache)
            embedded = embed(
                photos, net, crop, cache=cache, progress=lambda done: bar.advance(step, done)
            )
            skipped.update(dict.fromkeys(embedded.skipped))
            return embedded.references(None, columns or None)

        # Another day auto may find another backbone, which these choices were not made for.
        named = spec if spec.backbone != "auto" else replace(spec, backbone=net.name)
        found = tune(
            named,
            grid,
            references_of,
            folds=folds,
            progress=lambda done: bar.advance(searches, done),
        )
    notes = [*net.engine.notes, *(note for cache in caches_used for note in cache.notes)]
    for line in dict.fromkeys(notes):
        console.print(line, markup=False)
    _print_skipped(list(skipped))
    return found


def _print_skipped(skipped: list[Skipped]) -> None:
    if skipped:
        console.print(f"{len(skipped)} skipped:", markup=False)
    for one in skipped[:_SHOWN]:
        console.print(f"  {one.name}: {one.reason}", markup=False)
    if len(skipped) > _SHOWN:
        console.print(f"  … and {len(skipped) - _SHOWN} more", markup=False)


def _free() -> str:
    """A folder for the build that does not exist yet."""
    names = ("out" if number == 1 else f"out-{number}" for number in count(1))
    return next(name for name in names if not Path(name).exists())


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in map(str.strip, text.split(",")) if word)


def _whole(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise InputError(f"--k takes whole numbers between commas, not {word!r}") from None


def _projections(projection: str | None, pca: str | None) -> tuple[str, ...] | None:
    if projection is not None and pca is not None:
        raise InputError("--pca is another spelling of --projection; say one of them")
    if pca is not None:
        return tuple("none" if word == "none" else f"pca:{word}" for word in _words(pca))
    return None if projection is None else _words(projection)
