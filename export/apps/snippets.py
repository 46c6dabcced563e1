"""Snippets: code for app makers that runs the files of this build.

They are Jinja templates in the folder `snippets` of each format. They never contain names that
users chose, such as labels: the code reads these from the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocketknn.builder.choices import growth
from pocketknn.export.formats.table import FORMATS, SNIPPETS, TEMPLATE
from pocketknn.export.output.names import MODEL

if TYPE_CHECKING:
    from jinja2 import Environment

_OF_VECTORS = ("classify.py", "classify.mjs")  # the others are for pictures only


def write(folder: Path, manifest: Mapping[str, Any], formats: Sequence[str]) -> None:
    """Write a snippet for each platform whose file was written.

    Args:
        folder: the folder to create; it is not created if there is no snippet.
        manifest: the build's manifest.
        formats: the formats that were written.
    """
    for name, format_ in SNIPPETS.items():
        if format_ in formats and (code := render(name, manifest)):
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(code, encoding="utf-8", newline="")


def render(name: str, manifest: Mapping[str, Any]) -> str:
    """A snippet's code for a build; "" if it is for models with other inputs or outputs.

    Args:
        name: one of `SNIPPETS`.
        manifest: the build's manifest.
    """
    given = manifest["input"]
    vectors = given["name"] != "image"
    if vectors and name not in _OF_VECTORS:
        return ""
    return (
        _templates(FORMATS[SNIPPETS[name]].__name__)
        .get_template(name + TEMPLATE)
        .render(
            model=MODEL,
            size=given["shape"][0],
            k=manifest["k"],
            scores=manifest["outputs"]["scores"]["is"].removesuffix(", descending"),
            labels=manifest["labels"],
            targets=manifest["targets"],
            vectors=vectors,
            crop=given.get("crop"),
            dtype=given["dtype"],
            ios=manifest["ios"],
            memory=manifest.get(growth.NAME),
            backbone=(manifest["backbone"] or {}).get("sha256"),
        )
    )


@cache
def _templates(package: str) -> Environment:
    """The templates of a format."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(  # filled only with numbers and our own words
        loader=PackageLoader(package, "snippets"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
