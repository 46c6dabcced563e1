"""The command line of `pocketknn refs`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from .photos import Source

refs = typer.Typer(
    rich_markup_mode=None,
    help="Keep references in a file: add, remove, relabel, merge. Each change gives a new file,"
    " from which pocketknn build makes models.",
)

File = Annotated[
    Path, typer.Argument(help="References: a .parquet, an ml5 .json, or a folder that build wrote.")
]
Places = Annotated[
    list[Path],
    typer.Argument(
        help="Folders with one folder of photos per class, .csv or .parquet tables, .zip or .tar"
        " archives, or pictures."
    ),
]
New = Annotated[Path, typer.Option("-o", "--out", help="The .parquet file to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier file of references.")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="An id; may be repeated.")]
Classes = Annotated[list[str] | None, typer.Option("--class", help="A class; may be repeated.")]
Paths = Annotated[
    list[str] | None,
    typer.Option("--path", help="A pattern of paths, such as 'raw/*'; may be repeated."),
]
Label = Annotated[str | None, typer.Option(help="The class of photos that lie in no class folder.")]
Weights = Annotated[Path | None, typer.Option(help="Weights file for a named MobileNet.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse pictures that cannot be read.")]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Embed all photos anew, and remember none.")
]
PathColumn = Annotated[str, typer.Option(help="Column of a table of photos.")]
LabelColumn = Annotated[
    str | None, typer.Option(help="Column of a table; label where there is one.")
]
Exclude = Annotated[
    list[str] | None, typer.Option(help="Pattern of names to leave out, such as 'raw/*'.")
]


@refs.callback(invoke_without_command=True)
def help_without_command(context: typer.Context) -> None:
    """Print the help where no command is named."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@refs.command("list")
def list_(
    file: File,
    rows: Annotated[
        bool, typer.Option("--rows", help="Print each reference: index, id, label, path.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a file holds: classes, targets, backbone, copies."""
    from .list import list_references

    list_references(file, rows, as_json)


@refs.command()
def new(
    context: typer.Context,
    photos: Places,
    out: New,
    backbone: Annotated[
        str, typer.Option(help="auto, bundled, pixels, efficientnet_lite0, … or a .keras file.")
    ] = "auto",
    weights: Weights = None,
    alpha: Annotated[float | None, typer.Option(help="Width of a named MobileNet.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the model's input in pixels.")] = None,
    input_range: Annotated[
        str, typer.Option(help="Pixels a .keras backbone wants: 0..255, 0..1 or -1..1.")
    ] = "0..255",
    crop: Annotated[str, typer.Option(help="center, stretch or fit.")] = "center",
    label: Label = None,
    target_column: Annotated[
        list[str] | None, typer.Option(help="Column of numbers, for regression; may be repeated.")
    ] = None,
    path_column: PathColumn = "path",
    label_column: LabelColumn = None,
    exclude: Exclude = None,
    strict: Strict = False,
    no_cache: NoCache = False,
    force: Force = False,
) -> None:
    """Make the first references, of photos."""
    from pocketknn.builder.spec import Spec
    from pocketknn.export.cli.inapplicable import check_place

    from .photos import new_references

    check_place(context, photos)
    spec = Spec(
        backbone=backbone,
        weights=weights,
        alpha=alpha,
        size=size,
        input_range=input_range,
        crop=crop,
    )
    columns = (path_column, label_column, target_column)
    source = _source(photos, label, columns, exclude, strict, no_cache)
    new_references(source, out, spec, force)


@refs.command()
def add(
    context: typer.Context,
    file: File,
    photos: Places,
    out: New,
    label: Label = None,
    backbone: Annotated[
        str, typer.Option(help="Where the .keras file is that the references come from.")
    ] = "auto",
    weights: Weights = None,
    path_column: PathColumn = "path",
    label_column: LabelColumn = None,
    exclude: Exclude = None,
    strict: Strict = False,
    no_cache: NoCache = False,
    force: Force = False,
) -> None:
    """Add photos, embedded as the others were.

    A photo that is there already, in the same class, is not added again.
    """
    from pocketknn.builder.spec import Spec
    from pocketknn.export.cli.inapplicable import check_place

    from .photos import add_photos

    check_place(context, photos)
    spec = Spec(backbone=backbone, weights=weights)
    columns = (path_column, label_column, None)
    source = _source(photos, label, columns, exclude, strict, no_cache)
    add_photos(file, source, out, spec, force)


@refs.command()
def remove(
    file: File,
    out: New,
    ids: Ids = None,
    classes: Classes = None,
    paths: Paths = None,
    force: Force = False,
) -> None:
    """Leave references out, by id, class or path."""
    from .refs import Which, remove_references

    which = Which(ids=ids or (), classes=classes or (), paths=paths or ())
    remove_references(file, out, which, force)


@refs.command()
def relabel(
    file: File,
    out: New,
    renames: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OLD=NEW",
            help="Classes to rename, all at once; two with one new name become one. Where names"
            " hold =, OLD is what is a class; --class OLD --to NEW says the same.",
        ),
    ] = None,
    ids: Ids = None,
    classes: Classes = None,
    paths: Paths = None,
    to: Annotated[
        str | None, typer.Option(help="The class to put references of --id, --class, --path into.")
    ] = None,
    force: Force = False,
) -> None:
    """Rename classes, or move references to another class."""
    from pocketknn.builder.errors import InputError

    from .refs import Which, move_references, rename_classes

    which = Which(ids=ids or (), classes=classes or (), paths=paths or ())
    if renames and to is None and not which:
        rename_classes(file, out, renames, force)
    elif to is not None and not renames:
        move_references(file, out, which, to, force)
    else:
        raise InputError("say either OLD=NEW, or --to NAME with --id, --class or --path")


@refs.command()
def merge(
    files: Annotated[list[Path], typer.Argument(help="Two files of references or more.")],
    out: New,
    force: Force = False,
) -> None:
    """Put files of references together.

    A picture that is there already, in the same class, is not added again.
    """
    from .refs import merge_files

    merge_files(files, out, force)


@refs.command()
def condense(
    file: File,
    amount: Annotated[
        str,
        typer.Argument(
            help="500, 50%, 2MB of vectors; or edited: all that the others do not vote against."
        ),
    ],
    out: New,
    by: Annotated[
        str | None,
        typer.Option(help="How to choose a number of them: prototypes, which is the default."),
    ] = None,
    k: Annotated[int | None, typer.Option(help="Neighbours; as a build has them.")] = None,
    metric: Annotated[
        str, typer.Option(help="cosine, euclidean, manhattan or minkowski (p = 3).")
    ] = "cosine",
    vote: Annotated[
        str | None, typer.Option(help="soft (the default for classes), uniform or distance.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws where clusters begin, and an order.")] = 0,
    force: Force = False,
) -> None:
    """Keep fewer references that answer like all of them, for a k, a metric and a vote."""
    from pocketknn.builder.spec import Spec

    from .refs import condense_references

    condense_references(
        file, out, Spec(k=k, metric=metric, vote=vote, seed=seed), amount, by, force
    )


@refs.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A k-NN data set of ml5.js or TensorFlow.js, JSON.")],
    out: New,
    dim: Annotated[
        int | None, typer.Option(help="Values of an example, for a file that does not say.")
    ] = None,
    force: Force = False,
) -> None:
    """Make references of what ml5.js or TensorFlow.js saved."""
    from .refs import import_references

    import_references(file, out, dim, force)


@refs.command("export")
def export_(
    file: File,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="A .json for ml5's KNNClassifier.load, or a .csv table."),
    ],
    force: Force = False,
) -> None:
    """Write references for ml5.js, or as a plain table.

    In the .json the vectors have length 1, as ml5's KNNClassifier.load does not scale them; in the
    .csv they are as the backbone gave them.
    """
    from .refs import export_references

    export_references(file, out, force)


def _source(
    places: list[Path],
    label: str | None,
    columns: tuple[str, str | None, list[str] | None],
    exclude: list[str] | None,
    strict: bool,
    no_cache: bool,
) -> Source:
    from pocketknn.export.cli.make.build import Selection

    from .photos import Source

    paths, labels, targets = columns
    selections = [
        Selection(
            photos=place,
            path_column=paths,
            label_column=labels,
            target_columns=tuple(targets or ()),
            exclude=tuple(exclude or ()),
        )
        for place in places
    ]
    return Source(selections=selections, label=label, strict=strict, cached=not no_cache)
