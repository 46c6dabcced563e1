"""pocketknn refs list: describe a file of references."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from pocketknn import builder
from pocketknn.builder.wording import counted
from pocketknn.export.cli.console.text import say, say_json, shown
from pocketknn.export.cli.options import Json

from .arguments import File
from .files import conflicts, described, located, opened


def list_(
    file: File,
    rows: Annotated[
        bool, typer.Option("--rows", help="Print each reference: index, id, label, path.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Describe a file: its classes, targets, backbone and duplicate pictures.

    Examples:
        pocketknn refs list out
        pocketknn refs list refs.parquet --rows
    """
    refs = opened(file, vectors=False)
    if as_json:
        say_json(_facts(refs, rows))
    elif rows:
        say(*_rows(refs))
    else:
        size = f"{described(refs)}, {counted(refs.dim, 'value')} each"
        say(f"{located(file)}: {size}", *_summary(refs))


def _facts(refs: builder.References, rows: bool) -> dict[str, Any]:
    origin = refs.provenance
    facts: dict[str, Any] = {
        "count": len(refs),
        "dim": refs.dim,
        "per_label": refs.counts,
        "targets": _ranges(refs),
        "duplicates": refs.duplicates(),
        "contradictions": refs.contradictions(),
        "provenance": asdict(origin) if origin else None,
    }
    if rows:
        facts["rows"] = [
            {
                "index": row,
                "id": refs.ids[row],
                "label": refs.label_of(row),
                "path": refs.paths[row],
                "sha256": refs.sha256[row],
                "targets": refs.targets[row].tolist(),
            }
            for row in range(len(refs))
        ]
    return facts


def _ranges(refs: builder.References) -> dict[str, list[float]]:
    """The minimum and maximum of each target."""
    return {
        name: [float(numbers.min()), float(numbers.max())]
        for name, numbers in zip(refs.target_names, refs.targets.T, strict=True)
    }


def _summary(refs: builder.References) -> Iterator[str]:
    width = max((len(shown(label)) for label in refs.labels), default=0)
    digits = len(str(len(refs)))
    for label, count in refs.counts.items():
        yield f"  {shown(label):<{width}}  {count:>{digits}}"
    for name, (lowest, highest) in _ranges(refs).items():
        yield f"target {name}: {lowest:.4g} to {highest:.4g}"
    if origin := refs.provenance:
        alpha = "" if origin.alpha is None else f" (alpha {origin.alpha:g})"
        weights = f"weights {origin.sha256[:12]}, crop {origin.crop}"
        yield f"backbone {origin.backbone}{alpha} at {origin.size}×{origin.size}, {weights}"
    else:
        yield "backbone unknown: no photos can be added to these vectors"
    if copies := refs.duplicates():
        yield f"includes {counted(copies, 'copy of another picture', 'copies of other pictures')}"
    if conflict := conflicts(refs):
        yield f"warning: {conflict}"


def _rows(refs: builder.References) -> Iterator[str]:
    digits = len(str(len(refs) - 1))
    ids, labels = [[shown(text) for text in texts] for texts in (refs.ids, refs.labels)]
    id_width, label_width = (max(map(len, texts), default=0) for texts in (ids, labels))
    for row, path in enumerate(refs.paths):
        label = labels[refs.label_ids[row]] if labels else ""
        targets = [f"{number:.6g}" for number in refs.targets[row]]
        cells = [f"{row:>{digits}}", f"{ids[row]:<{id_width}}", f"{label:<{label_width}}"]
        yield "  ".join([*cells, *targets, shown(path)]).rstrip()
