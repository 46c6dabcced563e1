"""pocketknn inspect: describe a model file."""

from __future__ import annotations

from typing import Annotated

import typer

from pocketknn.export.cli.console.text import say, say_json
from pocketknn.export.cli.options import Artefact
from pocketknn.export.report.wording import megabytes


def inspect(
    artefact: Artefact,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole manifest.")] = False,
) -> None:
    """Describe a model file: its input, outputs, labels, references and backbone.

    Examples:
        pocketknn inspect out/model.tflite
        pocketknn inspect out/model.onnx --json
    """
    from pocketknn.builder.choices import growth
    from pocketknn.export.cli.console import summary
    from pocketknn.export.formats.files import format_of
    from pocketknn.export.manifest.artefact import metadata_of
    from pocketknn.export.output.checksums import size

    name = format_of(artefact)
    metadata = metadata_of(artefact)
    manifest = metadata.manifest
    if as_json:
        say_json(manifest)
        return
    say(f"{artefact.name}: {name}, {megabytes(size(artefact))}")
    say(*(f"  {line}" for line in summary.facts(manifest, [])))
    for what in ("input", growth.NAME, "outputs"):
        if what not in manifest:  # only files that grow have a memory
            continue
        say(f"{what}:", *(f"  {key}: {value}" for key, value in manifest[what].items()))
    if metadata.labels:
        say(f"labels: {', '.join(metadata.labels)}")
