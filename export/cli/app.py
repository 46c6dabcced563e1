"""The command line."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketknn.export.cli.ask import app as cli_see
from pocketknn.export.cli.ask.web_app import web
from pocketknn.export.cli.change import app as cli_edit
from pocketknn.export.cli.refs.app import refs

from .entry import INTERRUPTED

if TYPE_CHECKING:
    from pocketknn.builder.embedding.ray.connection import Cluster

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Photos in folders become one k-nearest-neighbour model file per platform.",
)
app.add_typer(refs, name="refs")
for command in (cli_edit.edit, cli_edit.diff, cli_see.explain, web):
    app.command()(command)

Photos = Annotated[
    str,  # a Path would make one slash of the two in s3://
    typer.Argument(
        metavar="PHOTOS",
        help="A folder with one folder of photos per class; or a .csv or .parquet table of path"
        " and label, a .zip or a .tar, or an address like s3://bucket/photos.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("-o", "--out", help="The folder to write; it must be new.")
]
ENGINES = ("local", "ray")
CLOSED_PIPE = 141  # as shells have it: 128 and the number of SIGPIPE, which Windows lacks


@app.command()
def build(
    context: typer.Context,
    photos: Photos,
    out: Out = None,
    backbone: Annotated[
        str, typer.Option(help="auto, bundled, pixels, efficientnet_lite0, … or a .keras file.")
    ] = "auto",
    weights: Annotated[
        Path | None, typer.Option(help="Weights file for a named MobileNet.")
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="Width of a named MobileNet.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the model's input in pixels.")] = None,
    input_range: Annotated[
        str, typer.Option(help="Pixels a .keras backbone wants: 0..255, 0..1 or -1..1.")
    ] = "0..255",
    k: Annotated[
        str | None,
        typer.Option(help="Neighbours that are found and vote, or auto; else up to 100."),
    ] = None,
    metric: Annotated[
        str, typer.Option(help="cosine, euclidean, manhattan or minkowski (p = 3).")
    ] = "cosine",
    projection: Annotated[
        str,
        typer.Option(
            help="What of an embedding is compared: classes (the directions in which the classes"
            " differ, learned from the photos), none (all of it), pca:64, pca:0.95 (a share of the"
            " variance), pca:auto, pca:64:0.5 (whitened by a power); auto: classes where"
            " cross-validation is for it."
        ),
    ] = "auto",
    pca: Annotated[str | None, typer.Option(hidden=True)] = None,
    whiten: Annotated[float | None, typer.Option(hidden=True)] = None,
    condense: Annotated[
        str | None,
        typer.Option(
            help="Keep fewer references: 500, 50%, 2MB of vectors; or same, edited, condensed: as"
            " many as the method needs."
        ),
    ] = None,
    condense_by: Annotated[
        str | None,
        typer.Option(help="How to choose a number of them: prototypes (the default) or condensed."),
    ] = None,
    vote: Annotated[
        str | None,
        typer.Option(help="soft (the default for classes), uniform or distance."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="Of the soft vote, in units of the score; else found by likelihood."),
    ] = None,
    balanced: Annotated[
        bool | None,
        typer.Option(help="Let classes of unequal size count the same; a soft vote does."),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(help="classify (where there are classes), regress (targets) or neighbors."),
    ] = None,
    reject: Annotated[
        str | None,
        typer.Option(help="auto, or the score below which a picture is of the class unknown."),
    ] = None,
    false_rejection: Annotated[
        float, typer.Option(help="Share of known pictures that auto may reject.")
    ] = 0.05,
    strangers: Annotated[
        Path | None, typer.Option(help="Photos of no class, to measure the rejection on.")
    ] = None,
    references_precision: Annotated[
        str, typer.Option(help="float32, float16 or int8, of the stored references.")
    ] = "float32",
    search: Annotated[
        str,
        typer.Option(help="exact, rerank (scan, then score the best), ivf (cells) or auto."),
    ] = "exact",
    recall: Annotated[
        float | None, typer.Option(help="Share of the exact neighbours to be found; 0.99.")
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(help="References that rerank and ivf score; as many as needed.")
    ] = None,
    probes: Annotated[
        int | None, typer.Option(help="Cells that ivf scans; as many as needed.")
    ] = None,
    crop: Annotated[str, typer.Option(help="center, stretch or fit.")] = "center",
    formats: Annotated[
        str | None,
        typer.Option(help="Some of keras,tflite,coreml,onnx; else all that can be written here."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="float32, float16 or int8, of the backbone; a choice of each format."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Take the smallest precision and PCA that are good enough: 2MB, 500KB."),
    ] = None,
    loss: Annotated[
        float, typer.Option(help="How much accuracy a budget may cost, as a share.")
    ] = 0.02,
    agreement: Annotated[
        float, typer.Option(help="Share of the exact neighbours that a budget must keep.")
    ] = 0.8,
    pixels: Annotated[
        str, typer.Option(help="Input type of TFLite and ONNX: float32 or uint8.")
    ] = "float32",
    outputs: Annotated[
        str,
        typer.Option(help="More TFLite files, that end before the top-k: embedding, scores."),
    ] = "",
    ios: Annotated[int, typer.Option(help="Least iOS of the Core ML model: 15 to 18.")] = 16,
    author: Annotated[str, typer.Option(help="Who made the model, for its metadata.")] = "",
    terms: Annotated[
        str, typer.Option("--license", help="How the model may be used, for its metadata.")
    ] = "",
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse pictures that cannot be read.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier build.")] = False,
    path_column: Annotated[str, typer.Option(help="Column of a table of photos.")] = "path",
    label_column: Annotated[
        str | None, typer.Option(help="Column of a table; label where there is one.")
    ] = None,
    target_column: Annotated[
        list[str] | None, typer.Option(help="Column of numbers, for regression; may be repeated.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="A file of classes, one a line, that fixes their order.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Pattern of names to leave out, such as 'raw/*'.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many photos of each class.")] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Embed all photos anew, and remember none.")
    ] = False,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Write no report.html, which takes seconds.")
    ] = False,
    no_names: Annotated[
        bool,
        typer.Option("--no-names", help="Write no photo's name into any file; ids lead to them."),
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Write nothing: say how large each file would be.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Draws the pictures that parity is checked on.")] = 0,
    engine: Annotated[
        str, typer.Option(help="Where photos are embedded: local, or ray for a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(help="With ray: auto or ray://HOST:PORT; without it, one is started here."),
    ] = None,
) -> None:
    """Build one model per platform from photos, and prove that each equals the exact k-NN."""
    from pocketknn.builder.errors import InputError
    from pocketknn.builder.photos.remote import place_of
    from pocketknn.builder.spec import Spec
    from pocketknn.export.cli.make.build import Selection, build_photos, plan_photos
    from pocketknn.export.cli.make.condense_option import plan_of
    from pocketknn.export.formats.options import Options
    from pocketknn.export.sizes.budget import Budget, parse_bytes

    from .inapplicable import check_build

    chosen = None if formats is None else _names(formats)
    check_build(context, place_of(photos), chosen, plan=plan)
    spec = Spec(
        backbone=backbone,
        weights=weights,
        alpha=alpha,
        size=size,
        input_range=input_range,
        metric=metric,
        projection=projection,
        pca=_auto_or(pca, "pca"),
        whiten=whiten,
        head=head,
        k=_auto_or(k, "k"),  # type: ignore[arg-type]  # Spec refuses 2.5
        reject=_auto_or(reject, "reject"),
        false_rejection=false_rejection,
        vote=vote,
        temperature=temperature,
        balanced=balanced,
        references_precision=references_precision,
        search=search,
        recall=recall,
        candidates=candidates,
        probes=probes,
        crop=crop,
        seed=seed,
    )
    selection = Selection(
        photos=place_of(photos),
        path_column=path_column,
        label_column=label_column,
        target_columns=tuple(target_column or ()),
        labels=labels,
        exclude=tuple(exclude or ()),
        limit=limit,
    )
    within = None
    if budget is not None:
        within = Budget(bytes=parse_bytes(budget), loss=loss, agreement=agreement)
    options = Options(
        precision=precision,
        pixels=pixels,
        outputs=_names(outputs),
        ios=ios,
        author=author,
        license=terms,
    )
    fewer = plan_of(condense, condense_by) if condense or condense_by else None
    cluster = _cluster(engine, ray_address)
    if plan and (cluster or within or options.outputs):
        raise InputError("--plan knows nothing of --engine ray, --budget and --outputs")
    if not plan and out is None:
        raise InputError("say which folder to write: --out FOLDER")
    if plan or out is None:
        plan_photos(
            selection,
            spec,
            options=options,
            formats=chosen,
            fewer=fewer,
            strict=strict,
            cached=not no_cache,
        )
        return
    result = build_photos(
        selection,
        out,
        spec,
        strangers=strangers,
        within=within,
        fewer=fewer,
        options=options,
        formats=chosen,
        strict=strict,
        force=force,
        cached=not no_cache,
        with_report=not no_report,
        with_names=not no_names,
        cluster=cluster,
    )
    raise typer.Exit(0 if result.agrees else 1)


@app.command()
def tune(
    context: typer.Context,
    photos: Annotated[
        str,
        typer.Argument(
            metavar="PHOTOS",
            help="Photos as for build; or a .parquet or ml5 .json of embeddings.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A new folder for tune.csv and tune.png.")
    ] = None,
    backbone: Annotated[
        str, typer.Option(help="auto, bundled, pixels, efficientnet_lite0, … or a .keras file.")
    ] = "auto",
    weights: Annotated[
        Path | None, typer.Option(help="Weights file for a named MobileNet.")
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="Width of a named MobileNet.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the model's input in pixels.")] = None,
    input_range: Annotated[
        str, typer.Option(help="Pixels a .keras backbone wants: 0..255, 0..1 or -1..1.")
    ] = "0..255",
    k: Annotated[
        str | None,
        typer.Option(help="Numbers of neighbours to try; 1,3,5,10,20,50,100 as far as there are."),
    ] = None,
    metric: Annotated[
        str, typer.Option(help="What to try of cosine, euclidean, manhattan, minkowski.")
    ] = "cosine,euclidean",
    vote: Annotated[
        str | None, typer.Option(help="What to try of soft, uniform, distance; all of them.")
    ] = None,
    projection: Annotated[
        str | None,
        typer.Option(help="What to try: classes, none, pca:64, pca:0.95; as for build."),
    ] = None,
    pca: Annotated[str | None, typer.Option(hidden=True)] = None,
    crop: Annotated[
        str | None, typer.Option(help="What to try of center, stretch, fit; all of them.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Parts; each is classified by the others.")] = 5,
    path_column: Annotated[str, typer.Option(help="Column of a table of photos.")] = "path",
    label_column: Annotated[
        str | None, typer.Option(help="Column of a table; label where there is one.")
    ] = None,
    target_column: Annotated[
        list[str] | None, typer.Option(help="Column of numbers, for regression; may be repeated.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Pattern of names to leave out, such as 'raw/*'.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many photos of each class.")] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Embed all photos anew, and remember none.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Draws the parts.")] = 0,
) -> None:
    """Find the k, metric, vote, PCA and crop that suit the photos, by cross-validation."""
    from pocketknn.builder.photos.remote import place_of
    from pocketknn.builder.spec import Spec
    from pocketknn.export.cli.make.build import Selection
    from pocketknn.export.cli.make.tune import grid_of, tune_photos

    from .inapplicable import check_tune

    check_tune(context, place_of(photos))
    spec = Spec(
        backbone=backbone,
        weights=weights,
        alpha=alpha,
        size=size,
        input_range=input_range,
        seed=seed,
    )
    selection = Selection(
        photos=place_of(photos),
        path_column=path_column,
        label_column=label_column,
        target_columns=tuple(target_column or ()),
        exclude=tuple(exclude or ()),
        limit=limit,
    )
    grid = grid_of(k, metric, vote, projection, crop, pca)
    tune_photos(selection, spec, grid, folds=folds, out=out, cached=not no_cache)


@app.command()
def predict(
    artefact: Annotated[Path, typer.Argument(help="A .keras, .tflite, .mlpackage or .onnx.")],
    images: Annotated[list[Path], typer.Argument(help="Pictures.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the nearest references of pictures, and their class, with any exported file."""
    from pocketknn.export.cli.ask.predict import predict_images

    predict_images(artefact, images, as_json)


@app.command()
def verify(
    out: Annotated[Path, typer.Argument(help="A folder that build wrote.")],
    photos: Annotated[
        Path | None, typer.Argument(help="Photos to compare on; synthetic ones without.")
    ] = None,
) -> None:
    """Run every file of a build again and compare it with the exact k-NN."""
    from pocketknn.export.cli.judge.verify import verify_build

    raise typer.Exit(0 if verify_build(out, photos) else 1)


@app.command("eval")
def evaluate(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="A folder that build wrote, or one of its files.")],
    photos: Annotated[Path, typer.Argument(help="Photos, with a folder per class for accuracy.")],
    crop: Annotated[
        str | None, typer.Option(help="Also with this crop: what a mismatch costs.")
    ] = None,
    shift: Annotated[
        bool,
        typer.Option("--shift", help="Turn, scale, darken, blur … the photos: what of it matters."),
    ] = False,
    chart: Annotated[
        Path | None, typer.Option(help="With --shift: a .png or .svg to draw.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="With --shift: at most so many photos, drawn; 100.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the photos of --shift, and noise.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier chart.")] = False,
) -> None:
    """Measure every file of a build on other photos, cropped as built and otherwise.

    With --shift: one file, on photos turned, scaled, darkened, blurred and so on.
    """
    from pocketknn.builder.errors import InputError

    from .inapplicable import refuse

    if not shift:
        refuse(context, ("chart", "sample", "seed", "force"), "goes with --shift")
        from pocketknn.export.cli.judge.eval import evaluate_build

        evaluate_build(out, photos, crop, as_json)
        return
    if crop is not None:
        raise InputError("--shift tries every crop; leave --crop out")
    if chart is None:
        refuse(context, ("force",), "goes with --chart")
    from pocketknn.export.analysis.robustness.measure import COUNT
    from pocketknn.export.cli.judge.eval_shift import evaluate_shifts

    evaluate_shifts(
        out,
        photos,
        chart=chart,
        count=COUNT if sample is None else sample,
        seed=seed,
        as_json=as_json,
        force=force,
    )


@app.command()
def bench(
    out: Annotated[Path, typer.Argument(help="A folder that build wrote.")],
    runs: Annotated[int, typer.Option(help="Pictures per file and number of threads.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time the files of a build against each other: size, load time, latency, parity."""
    from pocketknn.export.cli.judge.bench import bench_build

    bench_build(out, runs, as_json)


@app.command()
def inspect(
    artefact: Annotated[Path, typer.Argument(help="A .keras, .tflite, .mlpackage or .onnx.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole manifest.")] = False,
) -> None:
    """Say what an exported file is: its input, outputs, labels, references and backbone."""
    from pocketknn.export.cli.judge.inspect import inspect_artefact

    inspect_artefact(artefact, as_json)


@app.command()
def cache(
    action: Annotated[str, typer.Argument(help="show or clear.")] = "show",
) -> None:
    """Show or clear the embeddings that earlier builds remember."""
    from pocketknn.builder.errors import InputError

    from .cache import clear_cache, show_cache

    actions = {"show": show_cache, "clear": clear_cache}
    if action not in actions:
        raise InputError(f"unknown action {action!r}; choose from {', '.join(actions)}")
    actions[action]()


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("-o", "--out", help="Where to work.")] = Path("demo"),
) -> None:
    """Build from scikit-learn's handwritten digits and classify the rest in every runtime."""
    from pocketknn.export.cli.make.demo import run_demo

    raise typer.Exit(0 if run_demo(folder) else 1)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a mistake of the user's is one line on stderr and exit code 2."""
    from pocketknn.builder.errors import InputError
    from pocketknn.builder.system.cache_folder import folder
    from pocketknn.builder.system.offline import write_below
    from pocketknn.builder.system.swap import ENDINGS
    from pocketknn.export.cli.console.quiet import quiet
    from pocketknn.export.formats.requirements import missing

    told = _Told()
    for ending in ENDINGS:
        signal.signal(ending, told.interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as of what runs in the background
        signal.signal(signal.SIGINT, told.interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # for terminals that know no ×
    arguments = sys.argv[1:] if arguments is None else arguments
    write_below(folder())
    with quiet() as stderr:
        code, message = 0, ""
        try:
            command = typer.main.get_command(app)
            code = (
                command.main(arguments or ["--help"], prog_name="pocketknn", standalone_mode=False)
                or 0
            )
            sys.stdout.flush()  # a closed pipe is noticed here, not when Python ends
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BrokenPipeError:  # `| head` has seen enough; Python flushes once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = CLOSED_PIPE
        except (InputError, OSError) as error:
            code, message = 2, _one_line(error)
        except MemoryError as error:
            code, message = 2, f"not enough memory: {error or 'take fewer photos'}"
        except typer.TyperException as error:
            code, message = 2, f"{error.format_message()} (see pocketknn --help)"
        except Exception as error:  # a bug of ours, which must be seen, unlike converters' chatter
            code, message = (2, why) if (why := missing(error)) else (70, "")
            if not message and not told.to_end:  # and not what a library, half imported, raises
                traceback.print_exc(file=stderr)
        if told.to_end and code:
            code = INTERRUPTED
        if code == INTERRUPTED:
            message = "interrupted; nothing half written is left behind"
        if message:
            from pocketknn.export.cli.console.terminal import (
                shown,  # which rich comes with, so not for a mere --help
            )

            print(f"pocketknn: {shown(message)}", file=stderr)
    sys.exit(code)


def _names(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _cluster(engine: str, address: str | None) -> Cluster | None:
    """Where to embed; None for this process."""
    from pocketknn.builder.embedding.ray.connection import Cluster
    from pocketknn.builder.errors import InputError

    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}; choose from {', '.join(ENGINES)}")
    if engine == "ray":
        return Cluster(address=address)
    if address is not None:
        raise InputError(f"--ray-address {address} goes with --engine ray")
    return None


def _auto_or(text: str | None, option: str) -> int | float | str | None:
    return text if text in (None, "auto") else _number(text, option, " or auto")


def _number(text: str, option: str, others: str = "") -> int | float:
    from pocketknn.builder.errors import InputError

    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    raise InputError(f"--{option} takes a number{others}, not {text!r}")


class _Told:
    """Whether a signal to end came; it does what Ctrl-C does: clean up."""

    to_end = False

    def interrupt(self, number: int, frame: object) -> None:
        self.to_end = True
        raise KeyboardInterrupt


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"pocketknn {version('pocketknn')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Photos in folders become one k-nearest-neighbour model file per platform."""


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())
