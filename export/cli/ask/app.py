"""The command line of what shows a model's answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    out: Annotated[Path, typer.Argument(help="A folder that build wrote, or one of its files.")],
    image: Annotated[Path, typer.Argument(help="A picture.")],
    figure: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="The .png or .svg to write; NAME-explained.png, with --json none."
        ),
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="What was built from, to show the neighbours' pictures.")
    ] = None,
    patch: Annotated[
        float, typer.Option(help="Side of what is hidden, as a share of the picture's.")
    ] = 0.2,
    steps: Annotated[int, typer.Option(help="How many places it has in each direction.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier figure.")] = False,
) -> None:
    """Show what in a picture an answer hangs on, by hiding its parts, and the neighbours."""
    from .explain import explain_picture

    explain_picture(
        out,
        image,
        figure=figure,
        photos=photos,
        patch=patch,
        steps=steps,
        as_json=as_json,
        force=force,
    )
