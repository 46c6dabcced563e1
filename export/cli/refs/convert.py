"""pocketknn refs import and export: references from and for ml5.js, or as a plain table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pocketknn import builder
from pocketknn.builder.wording import counted
from pocketknn.export.cli.console.text import say

from .arguments import File, Force, New
from .files import CSV, JSON, check_free, described, located, opened, save


def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A k-NN data set of ml5.js or TensorFlow.js, JSON."),
    ],
    out: New,
    dim: Annotated[
        int | None, typer.Option(help="Values per example, for a file that does not record it.")
    ] = None,
    force: Force = False,
) -> None:
    """Import references saved by ml5.js or TensorFlow.js.

    Examples:
        pocketknn refs import ml5.json -o refs.parquet
        pocketknn refs import ml5.json -o refs.parquet --dim 1000
    """
    from pocketknn.builder.references import ml5_json

    check_free(out, force, file)
    refs = ml5_json.read(file, dim)
    save(refs, out, force)
    say(f"{described(refs)}, {counted(refs.dim, 'value')} each; written to {out}")


def export_(
    file: File,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="A .json for ml5's KNNClassifier.load, or a .csv table."),
    ],
    force: Force = False,
) -> None:
    """Write references for ml5.js, or as a plain table.

    In the .json the vectors are scaled to length 1, which ml5's KNNClassifier.load does not do; in
    the .csv they are as the backbone computed them.

    Examples:
        pocketknn refs export out -o ml5.json
        pocketknn refs export out -o table.csv
    """
    from pocketknn.builder.references import ml5_json
    from pocketknn.export.output.new_file import check_new, saved

    check_new(out, [JSON, CSV], force, [located(file)])
    refs = opened(file)
    with saved(out, force) as path:
        if out.suffix.lower() == JSON:
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
