"""pocketknn refs import and export: references from and for ml5.js, or as a plain table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.builder.wording import counted
from pocketknn.export.cli.console.text import say, shown
from pocketknn.export.report.wording import command_line

from .arguments import File, Force, New
from .files import CSV, JSON, check_free, described, located, opened, save


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A JSON file: a k-NN data set of ml5.js or TensorFlow.js, or the saved memory of a"
            " growing model.",
        ),
    ],
    out: New,
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="The build whose model saved FILE, or references with the same backbone.",
        ),
    ] = None,
    dim: Annotated[
        int | None, typer.Option(help="Values per example, for a file that does not record it.")
    ] = None,
    force: Force = False,
) -> None:
    """Import references saved by ml5.js or TensorFlow.js, or by an app with a growing model.

    Examples:
        pocketknn refs import ml5.json -o refs.parquet
        pocketknn refs import ml5.json -o refs.parquet --dim 1000
        pocketknn refs import memory.json --like out -o taught.parquet
    """
    from pocketknn.builder.references import ml5_json

    check_free(out, force, file)
    notes: list[str] = []
    if like is None:
        refs = ml5_json.read(file, dim)
    elif dim is not None:
        raise InputError("--like already sets the number of values: leave out --dim", "either-or")
    else:
        refs, notes = _taught(file, like)
    save(refs, out, force)
    say(f"{described(refs)}, {counted(refs.dim, 'value')} each; written to {out}", *notes)


def _taught(file: Path, like: Path) -> tuple[builder.References, list[str]]:
    """The examples a model was taught, as references, and lines on what to do next."""
    from pocketknn.builder.references import memory_json

    memory, others = memory_json.read(file), opened(like, vectors=False)
    try:
        refs = memory.like(others)
    except InputError as error:
        raise InputError(
            f"{file} was not saved by a model of {like}: {error}", error.code
        ) from error
    gone = [name for name in memory.forgotten if name in others.labels]
    if not gone:
        return refs, []
    chosen = [word for name in gone for word in ("--class", name)]
    line = command_line("pocketknn", "refs", "remove", str(like), *chosen, "-o", "kept.parquet")
    return refs, [
        f"  forgotten on the device: {', '.join(map(shown, gone))}; to drop their references from"
        f" {like} before you merge:",
        f"    {line}",
    ]


def export_(
    file: File,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="A .json for ml5's KNNClassifier.load, or a .csv table."),
    ],
    memory: Annotated[
        bool,
        typer.Option("--memory", help="Write a .json that apps with a growing model can load."),
    ] = False,
    force: Force = False,
) -> None:
    """Write references for ml5.js, for apps with a growing model, or as a plain table.

    In the .json for ml5, vectors are scaled to length 1, because its KNNClassifier.load does not do
    that. In other files, they are as the backbone computed them.

    Examples:
        pocketknn refs export out -o ml5.json
        pocketknn refs export out -o table.csv
        pocketknn refs export more.parquet --memory -o memory.json
    """
    from pocketknn.builder.references import memory_json, ml5_json
    from pocketknn.export.output.new_file import check_new, saved

    check_new(out, [JSON] if memory else [JSON, CSV], force, [located(file)])
    refs = opened(file)
    with saved(out, force) as path:
        if memory:
            memory_json.write(refs, path)
            form = "as the backbone computed them; ids and paths left out"
        elif out.suffix.lower() == JSON:
            ml5_json.write(refs, path, unit_length=True)
            form = "scaled to length 1, since ml5's load does not; ids, paths and backbone left out"
        else:
            _write_table(refs, path)
            form = "as the backbone computed them, not scaled"
    say(f"{described(refs)}, {counted(refs.dim, 'value')} each; written to {out}")
    say(f"  {form}")


def _write_table(refs: builder.References, path: Path) -> None:
    import csv

    from pocketknn.builder.references.csv_table import guarded
    from pocketknn.export.output.new_file import COLUMNS

    numbers = [f"e{i}" for i in range(refs.dim)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow((*COLUMNS, *refs.target_names, *numbers))
        for row, vector in enumerate(refs.vectors):
            texts = (refs.ids[row], refs.label_of(row), refs.paths[row])
            writer.writerow((*map(guarded, texts), *refs.targets[row], *vector))
