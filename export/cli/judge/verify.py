"""pocketknn verify: check every file of a build again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pocketknn import builder
from pocketknn.export.cli.ask.order import model_first
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say
from pocketknn.export.cli.options import Build


def verify(
    out: Build,
    photos: Annotated[
        Path | None,
        typer.Argument(
            metavar="PHOTOS", help="Photos to run the files on; default: synthetic pictures."
        ),
    ] = None,
) -> None:
    """Run every file of a build again and compare it with the exact k-NN.

    Examples:
        pocketknn verify out
        pocketknn verify out photos
    """
    from pocketknn.export.analysis import verification
    from pocketknn.export.cli.console import tables
    from pocketknn.export.cli.console.terminal import console
    from pocketknn.export.formats.keras import SUFFIX, apart, running
    from pocketknn.export.manifest.metadata import manifest_of
    from pocketknn.export.manifest.reopen import is_without_keras
    from pocketknn.export.output.names import MODEL

    if photos is not None:
        out, photos = map(Path, model_first("verify", str(out), str(photos)))
    found = [] if photos is None else builder.find(photos, note=note)
    keras = (out / f"{MODEL}{SUFFIX}").exists() and apart.is_installed()
    if keras and not is_without_keras(manifest_of(out)):
        with running.imported():
            pass
    with apart.beside(keras):
        result = verification.verify(out, found)
    rows = [tables.Row(one.name, one.bytes, one.parity) for one in result.files]
    if result.source != f"{MODEL}.keras":
        say(f"exact k-NN: {result.source}")
    console.print(tables.parity_table(rows))
    say(*result.not_run, *result.changed, *tables.failures(rows))
    raise typer.Exit(0 if result.agrees else 1)
