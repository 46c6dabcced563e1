"""The choices that made the build."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pocketknn.export.formats.storage.texts import licence
from pocketknn.export.report.blocks import Section, Table
from pocketknn.export.report.wording import percent, projected

if TYPE_CHECKING:
    from pocketknn.export.report.study import Study


def section(study: Study) -> Section:
    """All that was chosen, and the versions of the packages."""
    rows = tuple((name, value) for name, value in _choices(study.manifest) if value)
    versions = tuple((name, str(value)) for name, value in study.manifest["versions"].items())
    columns = ("package", "version")
    return Section(
        "spec",
        "The choices that made it",
        (
            Table(caption="Choices", columns=("choice", "value"), rows=rows, words=(1,)),
            Table(caption="Versions", columns=columns, rows=versions, words=(1,), folded=True),
        ),
    )


def _choices(manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    backbone, given = manifest["backbone"], manifest["input"]
    yield "what it is", manifest["description"]
    yield "author", manifest["author"]
    yield "licence", licence(manifest)
    yield "head", manifest["head"]
    yield "k", str(manifest["k"])
    yield "metric", manifest["metric"]
    yield "vote", manifest["vote"] or ""
    yield "balanced", "yes" if manifest["balanced"] else ""
    if temperature := manifest["temperature"]:
        yield "temperature of the vote", f"{temperature:.3g}"
    if projection := manifest["projection"]:
        yield "projection", projected(projection)
    if condensed := manifest.get("condensed"):
        yield "condensed", f"from {condensed['before']} references, {condensed['by']}"
    search = manifest["search"]
    yield "search", f"{search['by']}, {search['references_precision']} references"
    if search["recall"] is not None:
        yield "finds", f"{percent(search['recall'])} of the exact neighbours"
    if manifest["reject"]:
        yield "unknown below", f"{manifest['reject']['threshold']:.6g}"
    if backbone:
        alpha = f", alpha {backbone['alpha']}" if backbone.get("alpha") else ""
        yield "backbone", f"{backbone['name']}{alpha}, {backbone['dim']} values"
        yield "why this backbone", backbone["why"] or ""
        yield "sha256 of its weights", backbone["sha256"]
    shape = " × ".join(map(str, given["shape"]))
    yield "input", f"{given['name']}, {shape}, {given['dtype']}"
    yield "crop", given.get("crop", "")
    yield "precision", ", ".join(f"{name} {kind}" for name, kind in manifest["precision"].items())
    yield "seed", str(manifest["seed"])
