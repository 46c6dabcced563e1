"""pocketknn inspect: what an exported file says about itself."""

from __future__ import annotations

from pathlib import Path

from pocketknn.export.cli.console import tables
from pocketknn.export.cli.console.terminal import console, say_json
from pocketknn.export.formats.files import format_of
from pocketknn.export.manifest.artefact import metadata_of
from pocketknn.export.output.checksums import size


def inspect_artefact(path: Path, as_json: bool) -> None:
    """Print what an artefact says about itself, without running it."""
    name = format_of(path)
    metadata = metadata_of(path)
    if as_json:
        say_json(metadata.manifest)
        return
    manifest = metadata.manifest
    console.print(f"{path.name}: {name}, {tables.megabytes(size(path))}", markup=False)
    for line in tables.facts(manifest, []):
        console.print(f"  {line}", markup=False)
    for what in ("input", "outputs"):
        console.print(f"{what}:", markup=False)
        for key, value in manifest[what].items():
            console.print(f"  {key}: {value}", markup=False)
    if metadata.labels:
        console.print(f"labels: {', '.join(metadata.labels)}", markup=False)
