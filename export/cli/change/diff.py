"""pocketknn diff: the differences between two model files."""

from __future__ import annotations

from typing import Any

import typer

from pocketknn.builder.wording import counted
from pocketknn.export.cli.console.text import say, say_json
from pocketknn.export.cli.options import Artefact, Json

_SHOWN = 10


def diff(one: Artefact, other: Artefact, as_json: Json = False) -> None:
    """List the references, labels and choices in which two files differ; exit with 1 if any do.

    Examples:
        pocketknn diff out/model.tflite edited.tflite
        pocketknn diff out/model.tflite out/model.onnx --json
    """
    from pocketknn.export.editing.diff import differences
    from pocketknn.export.manifest.read_back import open_artefact

    found = differences(open_artefact(one), open_artefact(other))
    if as_json:
        say_json(found)
    else:
        say(*_lines(found))
    raise typer.Exit(1 if any(found.values()) else 0)


def _lines(found: dict[str, Any]) -> list[str]:
    if not any(found.values()):
        return ["no difference"]
    lines = [f"{name}: {pair[0]} became {pair[1]}" for name, pair in found["choices"].items()]
    if labels := found["labels"]:
        gone = [name for name in labels["from"] if name not in labels["to"]]
        new = [name for name in labels["to"] if name not in labels["from"]]
        lines += [f"class {name} is gone" for name in gone]
        lines += [f"class {name} is new" for name in new]
        if not gone and not new:
            lines.append("the classes are in a different order")
    for what in ("removed", "added"):
        rows = [f"{one['id']} {one['label']} {one['path']}".rstrip() for one in found[what]]
        lines += _listed(what, rows)
    renamed = [f"{one['id']} {one['from']} became {one['to']}" for one in found["relabelled"]]
    lines += _listed("relabelled", renamed)
    lines += _listed("with different vectors", found["other_vectors"])
    if found["moved"]:
        one, many = "reference has a different index", "references have a different index"
        lines.append(counted(found["moved"], one, many))
    return lines


def _listed(what: str, items: list[str]) -> list[str]:
    if not items:
        return []
    more = [f"  … and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    found = f"{counted(len(items), 'reference')} {what}:"
    return [found, *(f"  {item}" for item in items[:_SHOWN]), *more]
