"""pocketknn diff: the differences between two model files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pocketknn.builder.errors import InputError
from pocketknn.builder.wording import counted
from pocketknn.export.cli.console.text import say, say_json
from pocketknn.export.cli.options import BuildOrFile, Json

if TYPE_CHECKING:
    from pocketknn.builder.knn.projection.pca import Projection

_SHOWN = 10


def diff(one: BuildOrFile, other: BuildOrFile, as_json: Json = False) -> None:
    """List the references, labels and choices that differ between two files; exit with 1 if any do.

    With two builds, files of the same format are compared; with a build and a file, the file is
    compared with the build's file of the same format.

    Examples:
        pocketknn diff out/model.tflite edited.tflite
        pocketknn diff out/model.tflite out/model.onnx --json
        pocketknn diff out new-out
    """
    from pocketknn.export.editing.diff import differences
    from pocketknn.export.manifest.read_back import open_artefact

    sides = [open_artefact(path) for path in _files(one, other)]
    found = differences(*sides)
    if as_json:
        say_json(found)
    else:
        if found["other_vectors"] and _moved(*(side.fit.space.projection for side in sides)):
            say("the projection was learned again, so vectors differ even for the same pictures")
        say(*_lines(found))
    raise typer.Exit(1 if any(found.values()) else 0)


def _files(one: Path, other: Path) -> tuple[Path, Path]:
    """The files to compare.

    Raises:
        InputError: two builds, or a build and a file, have no format in common.
    """
    from .edit_build import is_build

    found = [_written(place) for place in (one, other)]
    for name in found[0]:
        if name in found[1]:
            return found[0][name], found[1][name]
    if not is_build(one) and not is_build(other):
        return one, other  # of two files, whatever their formats
    formats = [", ".join(files) or "no model file" for files in found]
    raise InputError(
        f"no format in common: {one} has {formats[0]}, {other} has {formats[1]}",
        "no-common-format",
    )


def _written(place: Path) -> dict[str, Path]:
    """The model files of a build, or a file itself, by format."""
    from pocketknn.export.formats.files import format_of
    from pocketknn.export.formats.table import FORMATS
    from pocketknn.export.output.names import MODEL

    from .edit_build import is_build

    if not is_build(place):
        return {format_of(place): place}
    files = {name: place / f"{MODEL}{one.SUFFIX}" for name, one in FORMATS.items()}
    return {name: path for name, path in files.items() if path.exists()}


def _moved(one: Projection | None, other: Projection | None) -> bool:
    """Whether two projections of the same size differ by more than rounding."""
    import numpy as np

    if one is None or other is None or one.kernel.shape != other.kernel.shape:
        return False
    return not np.allclose(one.kernel, other.kernel, rtol=1e-4, atol=1e-6)


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
