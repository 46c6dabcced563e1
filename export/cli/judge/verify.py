"""pocketknn verify: run every file of a build again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say
from pocketknn.export.cli.options import Build


def verify(
    out: Build,
    photos: Annotated[
        Path | None, typer.Argument(help="Photos to compare on; synthetic ones without.")
    ] = None,
) -> None:
    """Run every file of a build again and compare it with the exact k-NN."""
    # The embeddings come from the backbone inside model.keras, a projection from there too, the
    # neighbours from references.parquet, in float64. Without model.keras, or TensorFlow to open it,
    # they come from the packaged backbone, if it has the weights that were built with, and from the
    # first file that is there. A file whose runtime is not installed is judged by its sha256 alone.
    from pocketknn.builder.photos.pixels.decode import Squares
    from pocketknn.export.cli.console import tables
    from pocketknn.export.cli.console.terminal import console
    from pocketknn.export.formats.requirements import reason
    from pocketknn.export.formats.table import FORMATS
    from pocketknn.export.manifest.metadata import manifest_of
    from pocketknn.export.manifest.reopen import reopen
    from pocketknn.export.output.checksums import size
    from pocketknn.export.output.names import MODEL
    from pocketknn.export.parity import test_inputs
    from pocketknn.export.parity.compare import compare
    from pocketknn.export.parity.judges import Judges

    manifest = manifest_of(out)
    if photos is not None and manifest["backbone"] is None:
        raise InputError(f"{out} takes vectors, not pictures; verify it without photos")
    found = [] if photos is None else builder.find(photos, note=note)
    changed = list(_changes(out, manifest))
    build = reopen(out, manifest)
    net, fit = build.backbone, build.fit
    if found and net is not None:
        squares = Squares(net.size, manifest["input"]["crop"])
        against = test_inputs.from_photos(found, net, squares.of)
    else:
        against = test_inputs.made_up(build.references.vectors, net, seed=manifest["seed"])
    judges = Judges(against, net)
    rows, left_out = [], []
    for name, target in FORMATS.items():
        path = out / f"{MODEL}{target.SUFFIX}"
        if path.name not in manifest["files"] or not path.exists():
            continue
        if why := reason(target.RUNTIME):
            left_out.append(f"{path.name} was not run: it needs {why}")
        else:
            precision = manifest["precision"][name]
            parity = compare(name, path, precision, fit, judges.of(name), as_built=not changed)
            rows.append(tables.Row(path.name, size(path), parity))
    if build.source != f"{MODEL}.keras":
        say(f"compared by {build.source}")
    console.print(tables.parity_table(rows))
    wrong = changed + tables.failures(rows)
    say(*left_out, *wrong)
    raise typer.Exit(1 if wrong else 0)


def _changes(out: Path, manifest: dict[str, Any]) -> Iterator[str]:
    """What is not as it was built."""
    from pocketknn.export.formats.table import FORMATS
    from pocketknn.export.manifest.artefact import metadata_of
    from pocketknn.export.output.checksums import digest
    from pocketknn.export.output.names import MANIFEST

    for name, file in manifest["files"].items():
        path = out / name
        if not path.exists():
            yield f"{name} is missing"
        elif digest(path) != file["sha256"]:
            yield f"{name} is not the file that was built: its sha256 differs"
        elif path.suffix in {target.SUFFIX for target in FORMATS.values()}:
            inside = metadata_of(path).manifest
            if any(manifest.get(key) != value for key, value in inside.items()):
                yield f"{MANIFEST} is not the one inside {name}"
