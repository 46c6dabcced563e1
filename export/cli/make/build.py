"""pocketknn build: turn photos or references into model files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.system.cache import Cache
from pocketknn.export.cli import options
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say
from pocketknn.export.cli.inapplicable import check_build, check_one_place, is_typed
from pocketknn.export.formats.requirements import missing
from pocketknn.export.pipeline.request import Request, Watch

from .again import again
from .build_options import Engine, Files, Model, Sizes

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit
    from pocketknn.export.pipeline.export import Export
    from pocketknn.export.pipeline.material import Material
    from pocketknn.export.report.sections.advice import Step
    from pocketknn.export.report.study import Study


def build(
    context: typer.Context,
    photos: Annotated[
        str,  # a Path would make one slash of the two in s3://
        typer.Argument(
            metavar="PHOTOS",
            help="A folder with one folder of photos per class; a .csv or .parquet table of path"
            " and label; a .zip or .tar; an address like s3://bucket/photos; or the .json that"
            " ml5.js saved.",
        ),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The folder to write; it must be new.")
    ] = None,
    network: options.Network,
    model: Model,
    strangers: Annotated[
        Path | None,
        typer.Option(help="Photos of other things, to measure how many are called unknown."),
    ] = None,
    learn_strangers: Annotated[
        bool,
        typer.Option(
            "--learn-strangers",
            help="Use half of --strangers as references of the class unknown; measure on the rest.",
        ),
    ] = False,
    formats: Annotated[
        str | None,
        typer.Option(help="Any of keras,tflite,coreml,onnx; default: all available here."),
    ] = None,
    files: Files,
    sizes: Sizes,
    strict: options.Strict = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier build.")] = False,
    columns: options.Targets,
    labels: Annotated[
        Path | None,
        typer.Option(help="A file of class names, one per line, that fixes their order."),
    ] = None,
    occasions: options.Occasions = None,
    exclude: options.Exclude = None,
    limit: options.Limit = None,
    no_cache: options.NoCache = False,
    no_report: Annotated[
        bool,
        typer.Option("--no-report", help="Do not write report.html, which saves a few seconds."),
    ] = False,
    no_names: Annotated[
        bool,
        typer.Option("--no-names", help="Leave photos' names out of every file; only ids remain."),
    ] = False,
    thumbnails: Annotated[
        str | None,
        typer.Option(
            help="Write small pictures of the references for an app to show, at most this size in"
            " total, such as 4MB."
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Write nothing: only print how large each file would be.")
    ] = False,
    engine: Engine,
) -> None:
    """Build one model per platform from photos, and check that each agrees with exact k-NN.

    Examples:
        pocketknn build photos -o out
        pocketknn build photos -o out --formats tflite,onnx --backbone bundled
        pocketknn build photos -o out --reject auto --strangers others
    """
    from pocketknn.builder.references.files import is_collection

    check_one_place(context)
    selection = options.selection_of(
        photos, columns, columns.target_column, exclude, limit, labels, occasions
    )
    chosen = None if formats is None else options.names(formats)
    check_build(context, selection.photos, chosen, plan=plan)
    request = Request(
        selection=selection,
        spec=model.spec(network),
        within=sizes.within(),
        options=files.options(),
        fewer=sizes.fewer(),
        cluster=engine.cluster(),
        formats=chosen,
        strangers=strangers,
        learn_strangers=learn_strangers,
        strict=strict,
        with_names=not no_names,
        thumbnails=None if thumbnails is None else options.parse_bytes(thumbnails),
    )
    cache = options.cache_of(no_cache)
    if plan:
        if request.cluster or request.within or request.options.outputs:
            raise InputError(
                "--plan does not support --engine ray, --budget or --outputs; to compare sizes,"
                " give it different values of --precision and --backbone",
                "option-not-applicable",
            )
        _print_plan(request, cache)
        return
    if out is None:
        raise InputError("name the folder to write with --out FOLDER", "missing-out")
    remark = ""
    place = request.selection.photos
    if is_collection(place) and place.suffix.lower() == ".parquet":
        remark = (
            "a file of references records no options of the build it came from (--reject,"
            " --metric, --k, …): options that you omit take their defaults"
        )
    result = run(
        request,
        out,
        force=force,
        cache=cache,
        with_report=not no_report,
        remark=remark,
        retyped=partial(again, context),
        crop=is_typed(context, "crop"),
    )
    raise typer.Exit(0 if result.agrees else 1)


def run(
    request: Request,
    out: Path,
    *,
    force: bool = False,
    cache: Cache | None = None,
    with_report: bool = True,
    remark: str = "",
    retyped: Callable[..., str] | None = None,
    crop: bool = False,
    title: str | None = None,
) -> Export:
    """Build, write the report, and print the results.

    Args:
        request: what to build.
        out: the folder to write.
        force: replace an earlier build.
        cache: stores what a later build may reuse; None for no cache.
        with_report: write the report, and print what it advises.
        remark: a line to print before the results; "" for none.
        retyped: makes the command for building again with other options; None prints no advice.
        crop: print which platforms crop differently, for users who chose a crop. Others hardly need
            that, as most apps use the snippets, which crop as the build did. The report always
            lists these platforms.
        title: title of the report; None for the name of the place of the photos.
    """
    from pocketknn.builder.backbones.load import PACKAGED
    from pocketknn.export.formats.keras import apart

    named = request.spec.weights is None and request.spec.backbone in {"auto", *PACKAGED}
    wanted = apart.is_worth_it(request.formats, cache, named)
    with apart.beside(wanted):  # before any longer imports
        from pocketknn.export.cli.console import summary, tables
        from pocketknn.export.cli.console.next_steps import next_steps
        from pocketknn.export.cli.console.terminal import console, watched
        from pocketknn.export.pipeline import build as pipeline

        steps: list[Step] = []
        begun: list[Study] = []

        def begin(*given: Any) -> None:  # noqa: ANN401  # as for `_begun`
            if with_report:
                begun.append(_begun(*given, out=out))

        with watched(request.within) as watch:
            if remark:
                watch.remark(remark)
            result, material = pipeline.build(
                request, out, force=force, cache=cache, watch=watch, meanwhile=begin
            )
            if with_report:
                watch.step("writing the report", None)
                try:
                    title = place_name(request.selection.photos) if title is None else title
                    steps = _report(result, begun[0], watch, title)
                except KeyboardInterrupt:
                    note(f"the models in {out} are ready and checked; only report.html is missing")
                    raise
    say(*summary.facts(result.manifest, material.skipped))
    rows = [tables.Row(one.name, one.bytes, one.parity) for one in result.written]
    console.print(tables.parity_table(rows))
    for line in tables.failures(rows):
        console.print(line, style="red", markup=False)
    say(*(summary.crops(result) if crop else []), *next_steps(result, steps, retyped))
    return result


def _print_plan(request: Request, cache: Cache | None) -> None:
    """Print the size and cost of a request's files, without writing them."""
    from pocketknn.export.cli.console import tables
    from pocketknn.export.cli.console.terminal import console, watched
    from pocketknn.export.pipeline import build as pipeline

    with watched() as watch:
        plans, material = pipeline.plan(request, cache=cache, watch=watch)
    say(*(f"skipped {one.name}: {one.reason}" for one in material.skipped))
    console.print(tables.plan_table(plans))


def place_name(photos: Path | str) -> str:
    """The name of the photos' folder, or of their table or archive without its extension."""
    if isinstance(photos, str):
        return photos.rstrip("/").rpartition("/")[2].partition("?")[0]
    return photos.resolve().name if photos.is_dir() else photos.stem


def _begun(fit: Fit, manifest: dict[str, Any], material: Material, *, out: Path) -> Study:
    """The study of a build for its report, with what takes long and needs no files."""
    from pocketknn.export.report.study import Study
    from pocketknn.export.report.write import begin

    study = Study(
        fit=fit,
        manifest=manifest,
        photos=material.photos,
        strangers=material.strangers,
        out=out.name or ".",
    )
    with suppress(Exception):  # `_report` fails on it again, and warns
        begin(study)
    return study


def _report(result: Export, begun: Study, watch: Watch, name: str) -> list[Step]:
    """Write the report, and return what it advises.

    If that fails, only warn, as the build is complete without a report.
    """
    from pocketknn.export.analysis.latency import time_shortly
    from pocketknn.export.report.write import report_build

    try:
        timings = time_shortly(result.out)
        return report_build(result, begun, timings, name)
    except Exception as error:  # drawing and timing may raise anything
        watch.remark(f"warning: no report was written: {missing(error) or first_line(error)}")
        return []
