"""pocketknn refs import: references of what ml5.js or TensorFlow.js saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pocketknn.export.cli.console.text import say

from .arguments import Force, New


def import_(
    file: Annotated[Path, typer.Argument(help="A k-NN data set of ml5.js or TensorFlow.js, JSON.")],
    out: New,
    dim: Annotated[
        int | None, typer.Option(help="Values of an example, for a file that does not say.")
    ] = None,
    force: Force = False,
) -> None:
    """Make references of what ml5.js or TensorFlow.js saved."""
    from pocketknn.builder.references import ml5_json
    from pocketknn.export.output.atomic_file import check_new

    from .files import PARQUET, counted, described, save

    check_new(out, [PARQUET], force, [file])
    refs = ml5_json.read(file, dim)
    save(refs, out, force)
    say(f"{described(refs)}, {counted(refs.dim, 'value')} each; written to {out}")
