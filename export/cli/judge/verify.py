"""pocketknn verify: run every file of a build again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.find import find
from pocketknn.export.cli.console import tables
from pocketknn.export.cli.console.quiet import say
from pocketknn.export.cli.console.terminal import console
from pocketknn.export.formats.artefact import FORMATS, format_of
from pocketknn.export.formats.requirements import reason
from pocketknn.export.manifest.metadata import manifest_of
from pocketknn.export.manifest.reopen import reopen
from pocketknn.export.output.checksums import digest, size
from pocketknn.export.output.names import MANIFEST, MODEL
from pocketknn.export.parity import test_inputs
from pocketknn.export.parity.judges import Judges
from pocketknn.export.pipeline import compare


def verify_build(out: Path, photos: Path | None) -> bool:
    """Run each file of a build again; whether all are unchanged and agree with the exact k-NN.

    The embeddings come from the backbone inside model.keras, a projection from there too, the
    neighbours from references.parquet, in float64. Without model.keras, or TensorFlow to open it,
    they come from the packaged backbone, if it has the weights that were built with, and from the
    first file that is there. A file whose runtime is not installed is named, and judged by its
    sha256 alone.

    Raises:
        InputError: `out` is no build, or none of the photos can be read.
    """
    manifest = manifest_of(out)
    changed = list(_changes(out, manifest))
    build = reopen(out, manifest)
    net, fit = build.backbone, build.fit
    if net is None:
        if photos is not None:
            raise InputError(f"{out} takes vectors, not pictures; verify it without photos")
        against = test_inputs.from_vectors(build.references.vectors, seed=manifest["seed"])
    else:
        against = (
            test_inputs.synthetic(net, seed=manifest["seed"])
            if photos is None
            else test_inputs.from_photos(find(photos, note=say), net, manifest["input"]["crop"])
        )
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
        console.print(f"compared by {build.source}", markup=False)
    console.print(tables.parity_table(rows))
    for line in left_out:
        console.print(line, markup=False)
    for line in (wrong := changed + tables.failures(rows)):
        console.print(line, markup=False)
    return not wrong


def _changes(out: Path, manifest: dict[str, Any]) -> Iterator[str]:
    for name, file in manifest["files"].items():
        path = out / name
        if not path.exists():
            yield f"{name} is missing"
        elif digest(path) != file["sha256"]:
            yield f"{name} is not the file that was built: its sha256 differs"
        elif path.suffix in {target.SUFFIX for target in FORMATS.values()}:
            inside = FORMATS[format_of(path)].read(path).manifest
            if any(manifest.get(key) != value for key, value in inside.items()):
                yield f"{MANIFEST} is not the one inside {name}"
