"""pocketknn tune: find the k, metric, vote, projection and crop that suit the photos."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.export.cli import options
from pocketknn.export.cli.console.text import say
from pocketknn.export.cli.inapplicable import check_one_place, check_tune
from pocketknn.export.report.wording import command_line

if TYPE_CHECKING:
    from pocketknn.builder.selection.grid import Grid
    from pocketknn.export.pipeline.request import Selection

TABLE, PLOT = "tune.csv", "tune.png"
_LIBRARIES = ("sklearn", "scipy", "threadpoolctl")
_NETWORK = ("backbone", "weights", "alpha", "size", "input_range")


@dataclass(frozen=True, kw_only=True)
class Tried:
    """The values to try for each choice, separated by commas."""

    k: Annotated[
        str | None,
        typer.Option(help="Numbers of neighbours to try; default: 1,3,5,10,20,50,100."),
    ] = None
    metric: Annotated[
        str, typer.Option(help="Metrics to try: any of cosine, euclidean, manhattan, minkowski.")
    ] = "cosine,euclidean"
    vote: Annotated[
        str | None, typer.Option(help="Votes to try: any of soft, uniform, distance; default: all.")
    ] = None
    projection: Annotated[
        str | None,
        typer.Option(help="Projections to try, as for build; default: classes,none,pca:0.95."),
    ] = None
    pca: options.OldPca = None
    crop: Annotated[
        str | None, typer.Option(help="Crops to try: any of center, stretch, fit; default: all.")
    ] = None

    def grid(self) -> Grid:
        """The grid of all combinations.

        Raises:
            InputError: a value has the wrong type.
        """
        from pocketknn.builder.selection.grid import Grid

        return Grid(
            ks=None if self.k is None else tuple(map(_whole, options.names(self.k))),
            metrics=options.names(self.metric),
            votes=None if self.vote is None else options.names(self.vote),
            projections=_projections(self.projection, self.pca),
            crops=None if self.crop is None else options.names(self.crop),
        )


def tune(
    context: typer.Context,
    photos: Annotated[
        str,
        typer.Argument(
            metavar="PHOTOS",
            help="Photos as for build; or a .parquet or ml5 .json file of embeddings.",
        ),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A new folder for tune.csv and tune.png.")
    ] = None,
    network: options.Network,
    tried: Tried,
    folds: Annotated[int, typer.Option(help="Number of folds for cross-validation.")] = 5,
    columns: options.Targets,
    occasions: options.Occasions = None,
    exclude: options.Exclude = None,
    limit: options.Limit = None,
    no_cache: options.NoCache = False,
    seed: Annotated[int, typer.Option(help="Random seed for the folds.")] = 0,
) -> None:
    """Find the k, metric, vote, projection and crop that suit the photos, by cross-validation.

    Examples:
        pocketknn tune photos
        pocketknn tune photos -o tuned --k 1,5,20 --metric cosine
    """
    from pocketknn.export.cli.console.terminal import console, watched
    from pocketknn.export.formats.requirements import check
    from pocketknn.export.manifest.build_folder import check_apart, check_free, staged
    from pocketknn.export.pipeline.tune import tune as tuned

    from . import tuning_results as results

    check_one_place(context)
    check("tune", [*_LIBRARIES, *(("matplotlib",) if out is not None else ())])
    selection = options.selection_of(
        photos, columns, columns.target_column, exclude, limit, occasions=occasions
    )
    check_tune(context, selection.photos)
    spec = builder.Spec(**asdict(network), seed=seed)
    grid = tried.grid()
    if out is not None:
        if out.is_dir() and any(out.iterdir()):
            raise InputError(f"{out} exists; choose another folder", "folder-exists")
        check_free(out, force=False)
        check_apart(out, selection.photos)
    cache = options.cache_of(no_cache)
    with watched() as watch:
        found = tuned(selection, spec, grid, folds=folds, cache=cache, watch=watch)
    say(*results.facts(found))
    console.print(results.table(found))
    if out is not None:
        with staged(out, force=False) as folder:
            results.write(found, folder / TABLE)
            results.draw(found, folder / PLOT)
        say(f"{out} holds {TABLE} and {PLOT}")
    say(*results.verdict(found))
    say("Build with these choices:", f"  {command(selection, found.chosen.spec)}")


def command(selection: Selection, chosen: builder.Spec) -> str:
    """The command line that builds the chosen spec from the same photos."""
    from pocketknn.builder.selection.grid import VECTOR

    vectors = chosen.backbone == VECTOR
    usual = builder.Spec(backbone=VECTOR if vectors else "auto")
    network = {name: getattr(chosen, name) for name in _NETWORK}
    typed = [
        *((name, value) for name, value in network.items() if value != getattr(usual, name)),
        ("path_column", None if selection.path_column == "path" else selection.path_column),
        ("label_column", selection.label_column),
        *(("target_column", column) for column in selection.target_columns),
        ("occasions", selection.occasions),
        *(("exclude", pattern) for pattern in selection.exclude),
        ("limit", selection.limit),
        *(("k", chosen.k), ("metric", chosen.metric), ("vote", chosen.vote)),
        ("projection", chosen.compared),
        ("crop", None if vectors else chosen.crop),
    ]
    words = ["pocketknn", "build", str(selection.photos), "-o", _free()]
    for name, value in typed:
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    if chosen.balanced is not None and chosen.balanced is not chosen.soft:
        words.append("--balanced" if chosen.balanced else "--no-balanced")
    return command_line(*words)


def _free() -> str:
    """A folder for the build that does not exist yet."""
    names = ("out" if number == 1 else f"out-{number}" for number in count(1))
    return next(name for name in names if not Path(name).exists())


def _whole(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise InputError(
            f"--k takes whole numbers separated by commas, not {word!r}", "not-a-number"
        ) from None


def _projections(projection: str | None, pca: str | None) -> tuple[str, ...] | None:
    if projection is not None and pca is not None:
        raise InputError(
            "--pca is an older spelling of --projection; give only one of them", "two-projections"
        )
    if pca is not None:
        return tuple("none" if word == "none" else f"pca:{word}" for word in options.names(pca))
    return None if projection is None else options.names(projection)
