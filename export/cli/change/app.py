"""The commands that change or compare single files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Artefact = Annotated[Path, typer.Argument(help="A .tflite, .onnx, .mlpackage or .keras file.")]


def edit(
    artefact: Artefact,
    add: Annotated[
        Path | None, typer.Option(help="Photos to put in, a folder per class as for build.")
    ] = None,
    remove_class: Annotated[
        list[str] | None, typer.Option(help="A class to take out, as often as wanted.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(help="The id of a reference to take out.")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(help="Another name for a class, as OLD=NEW.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where to write it; in place without.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="The weights file, or .keras backbone, of its build.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace the file at --out.")] = False,
) -> None:
    """Take references out of a file or put photos in, without building it anew.

    First --remove and --remove-class take out, then --rename gives names, then --add puts photos
    in. All of it holds for the photos of --add too: those in the folder of a class that is taken
    out stay out, those in the folder of one that is renamed get its new name.
    """
    from .edit import Changes, edit_artefact

    changes = Changes(
        remove=tuple(remove or ()),
        remove_classes=tuple(remove_class or ()),
        rename=tuple(rename or ()),
        add=add,
    )
    raise typer.Exit(0 if edit_artefact(artefact, changes, out, weights, force) else 1)


def diff(
    one: Artefact,
    other: Artefact,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which references, labels and choices of two files differ; exit code 1 where any do."""
    from .diff import diff_artefacts

    raise typer.Exit(0 if diff_artefacts(one, other, as_json) else 1)
