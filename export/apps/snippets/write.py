"""Snippets: code for an app maker that classifies a picture with the files of this very build.

They are templates in the folder beside this file, in the language that they become. A line
`%% if NAME …` begins lines that are for some builds only, up to `%% end`; `@@name` is a value.
Names that people chose, such as labels, are never in them: the code reads these from the files.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pocketknn.export.output.names import MODEL

# Each snippet with the format that it runs.
SNIPPETS = {
    "classify.py": "tflite",
    "square.py": "tflite",
    "classify.mjs": "onnx",
    "square.mjs": "onnx",
    "Classify.swift": "coreml",
    "Golden.swift": "coreml",
    "Classify.kt": "tflite",
    "ClassifyMediaPipe.kt": "tflite",
    "Square.kt": "tflite",
    "Assets.kt": "tflite",
}
_APPLE = {"center": "centerCrop", "stretch": "scaleFill", "fit": "scaleFit"}  # Vision's names
_CLASSIFIERS_ONLY = ("ClassifyMediaPipe.kt",)


class _Template(string.Template):
    """`$` means something in each of these languages, `@@` in none."""

    delimiter = "@@"


def write(folder: Path, manifest: Mapping[str, Any], formats: Sequence[str]) -> None:
    """Write a snippet for each platform whose file there is, if the model takes pictures.

    Args:
        folder: a name that is free; it stays so where there is no snippet.
        manifest: of the build.
        formats: the files that there are.
    """
    if manifest["input"]["name"] != "image":
        return
    for name, format_ in SNIPPETS.items():
        if format_ in formats and (manifest["labels"] or name not in _CLASSIFIERS_ONLY):
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(render(name, manifest), encoding="utf-8", newline="")


def render(name: str, manifest: Mapping[str, Any]) -> str:
    """A snippet's code for a build.

    Args:
        name: one of `SNIPPETS`.
        manifest: of the build.
    """
    template = (files(__package__) / f"{name}.tmpl").read_text("utf-8")
    given = manifest["input"]
    there = {manifest["head"], given["crop"], given["dtype"]}
    there |= {"reject"} if manifest["reject"] else set()
    kept = "".join(_lines(template, there))
    return _Template(kept).substitute(
        model=MODEL,
        size=given["shape"][0],
        k=manifest["k"],
        scores=manifest["outputs"]["scores"]["is"].removesuffix(", descending"),
        classes=len(manifest["labels"]),
        crop=given["crop"],
        apple=_APPLE[given["crop"]],
        dtype=given["dtype"],
        ios=manifest["ios"],
    )


def _lines(template: str, there: Collection[str]) -> Iterator[str]:
    """The lines of a template that are for a build in which these things are."""
    kept = True
    for line in template.splitlines(keepends=True):
        mark, _, words = line.partition("%% ")
        if mark or not words:
            if kept:
                yield line
        elif words.strip() == "end":
            kept = True
        else:
            kept = bool(set(words.split()[1:]) & set(there))
