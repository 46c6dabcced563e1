"""pocketknn refs list: what a file of references holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pocketknn.builder.references.references import References
from pocketknn.export.cli.console.terminal import say, say_json, shown

from .files import conflicts, counted, described, located, opened


def list_references(file: Path, rows: bool, as_json: bool) -> None:
    """Print what a file of references holds: its classes and backbone, or every reference."""
    refs = opened(file)
    if as_json:
        say_json(_facts(refs, rows))
    elif rows:
        say(*_rows(refs))
    else:
        say(f"{located(file)}: {_size(refs)}", *_summary(refs))


def _facts(refs: References, rows: bool) -> dict[str, Any]:
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


def _ranges(refs: References) -> dict[str, list[float]]:
    """The least and the largest of each target."""
    return {
        name: [float(numbers.min()), float(numbers.max())]
        for name, numbers in zip(refs.target_names, refs.targets.T, strict=True)
    }


def _size(refs: References) -> str:
    return f"{described(refs)}, {counted(refs.dim, 'value')} each"


def _summary(refs: References) -> Iterator[str]:
    width = max((len(shown(label)) for label in refs.labels), default=0)
    digits = len(str(len(refs)))
    for label, count in refs.counts.items():
        yield f"  {shown(label):<{width}}  {count:>{digits}}"
    for name, (least, most) in _ranges(refs).items():
        yield f"target {name}: {least:.4g} to {most:.4g}"
    if origin := refs.provenance:
        alpha = "" if origin.alpha is None else f" (alpha {origin.alpha:g})"
        weights = f"weights {origin.sha256[:12]}, crop {origin.crop}"
        yield f"backbone {origin.backbone}{alpha} at {origin.size}×{origin.size}, {weights}"
    else:
        yield "backbone unknown: these are vectors, to which no photo can be added"
    if copies := refs.duplicates():
        yield f"{counted(copies, 'copy', 'copies')} of another picture among them"
    if conflict := conflicts(refs):
        yield f"warning: {conflict}"


def _rows(refs: References) -> Iterator[str]:
    digits = len(str(len(refs) - 1))
    ids, labels = [[shown(text) for text in texts] for texts in (refs.ids, refs.labels)]
    id_width, label_width = (max(map(len, texts), default=0) for texts in (ids, labels))
    for row, path in enumerate(refs.paths):
        label = labels[refs.label_ids[row]] if labels else ""
        targets = [f"{number:.6g}" for number in refs.targets[row]]
        cells = [f"{row:>{digits}}", f"{ids[row]:<{id_width}}", f"{label:<{label_width}}"]
        yield "  ".join([*cells, *targets, shown(path)]).rstrip()
