"""A page that runs the ONNX file in the visitor's browser: a folder for any static server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pocketknn.builder.choices import growth
from pocketknn.builder.errors import InputError
from pocketknn.builder.wording import counted
from pocketknn.export.apps import snippets
from pocketknn.export.formats.onnx import SUFFIX
from pocketknn.export.manifest.artefact import load
from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.output.names import MODEL, THUMBNAILS

from .runtime import Runtime

_MODEL, _DATA = MODEL + SUFFIX, "page.json"
_LICENSE = "runtime-license.txt"


def model_of(out: Path) -> tuple[Path, Metadata]:
    """The ONNX file of a build, or `out` itself if it is one, and its metadata.

    Raises:
        InputError: there is none, it is damaged, or it takes features.
    """
    path = out if out.suffix == SUFFIX else out / _MODEL
    if out.exists() and not path.exists():
        raise InputError(
            f"{out} holds no {_MODEL}, which the page runs; build with --formats onnx",
            "onnx-missing",
        )
    metadata = load(path if out.exists() else out).metadata
    given = metadata.manifest["input"]
    if given["name"] != "image":
        raise InputError(
            f"{path.name} takes vectors of {counted(given['shape'][0], 'feature')}, but the page"
            " takes pictures; query it with pocketknn predict and a .npy, .csv or .json file of"
            " vectors",
            "takes-vectors",
        )
    return path, metadata


def write(
    folder: Path,
    model: Path,
    metadata: Metadata,
    runtime: Runtime,
    *,
    title: str,
    thumbnails: Mapping[int, str],
) -> None:
    """Write everything of the page except its thumbnails.

    Args:
        folder: the page's folder; thumbnails are already in its folder `THUMBNAILS`.
        model: the ONNX file.
        metadata: its metadata.
        runtime: the runtime for the browser.
        title: title of the page.
        thumbnails: names of their files, by the reference's index.
    """
    copy_static(folder)
    # The same code as in the build's snippets, which the tests compare with Pillow.
    square = snippets.render("square.mjs", metadata.manifest)
    (folder / "square.js").write_text(square, encoding="utf-8", newline="")
    shutil.copyfile(model, folder / _MODEL)
    copy_runtime(folder, runtime)
    data = _data(metadata, title, thumbnails)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / _DATA).write_text(text, encoding="utf-8", newline="")


def copy_static(folder: Path, names: Collection[str] | None = None) -> None:
    """Copy the page's own files, or some of them, into a folder."""
    for source in (files(__package__) / "static").iterdir():
        if source.name != _LICENSE and (names is None or source.name in names):
            (folder / source.name).write_bytes(source.read_bytes())


def copy_runtime(folder: Path, runtime: Runtime, *, webgpu: bool = False) -> None:
    """Copy the runtime and its licence into a page's folder, with WebGPU if wanted."""
    place = folder / "runtime"
    place.mkdir()
    text = (files(__package__) / "static" / _LICENSE).read_bytes()
    (place / "LICENSE.txt").write_bytes(text)
    for name, path in (runtime.files | (runtime.webgpu if webgpu else {})).items():
        shutil.copyfile(path, place / name)


def _data(metadata: Metadata, title: str, thumbnails: Mapping[int, str]) -> dict[str, Any]:
    """What the page needs to know about the build."""
    manifest = metadata.manifest
    given = manifest["input"]
    return {
        "title": title,
        "description": manifest["description"],
        "input": {"size": given["shape"][0], "crop": given["crop"], "dtype": given["dtype"]},
        **({growth.NAME: facts} if (facts := manifest.get(growth.NAME)) else {}),
        "metric": manifest["metric"],
        "scores": manifest["outputs"]["scores"]["is"].removesuffix(", descending"),
        "k": manifest["k"],
        "labels": metadata.labels,
        "targets": manifest["targets"],
        "threshold": manifest["reject"]["threshold"] if manifest["reject"] else None,
        "references": [
            row
            | ({"thumbnail": f"{THUMBNAILS}/{thumbnails[index]}"} if index in thumbnails else {})
            for index, row in enumerate(metadata.rows())
        ],
    }
