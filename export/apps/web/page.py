"""A page that runs the ONNX file in the visitor's browser: a folder for any static server."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import ImageOps

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.photo import Photo, PictureError, read
from pocketknn.builder.photos.pixels.decode import decode
from pocketknn.builder.references.match import ByPicture
from pocketknn.export.apps import snippets
from pocketknn.export.formats.onnx import SUFFIX
from pocketknn.export.manifest.artefact import load
from pocketknn.export.manifest.metadata import Metadata, Row
from pocketknn.export.output.names import MODEL

from .runtime import Runtime

THUMBNAILS = "thumbnails"
_MODEL, _DATA = MODEL + SUFFIX, "page.json"
# Side in pixels and JPEG quality, best first; the first that fits the limit is used.
_STEPS = ((160, 80), (112, 75), (80, 70), (56, 60), (40, 50))


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
            f"{path.name} takes vectors of {given['shape'][0]} features, and the page shows"
            " pictures; ask it with pocketknn predict and a .npy, .csv or .json file of vectors",
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
    for source in (files(__package__) / "static").iterdir():
        (folder / source.name).write_bytes(source.read_bytes())
    # The same code as in the build's snippets, which the tests compare with Pillow.
    square = snippets.render("square.mjs", metadata.manifest)
    (folder / "square.js").write_text(square, encoding="utf-8", newline="")
    shutil.copyfile(model, folder / _MODEL)
    (folder / "runtime").mkdir()
    (folder / "runtime-license.txt").rename(folder / "runtime" / "LICENSE.txt")
    for name, path in runtime.files.items():
        shutil.copyfile(path, folder / "runtime" / name)
    data = _data(metadata, title, thumbnails)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / _DATA).write_text(text, encoding="utf-8", newline="")


def _data(metadata: Metadata, title: str, thumbnails: Mapping[int, str]) -> dict[str, Any]:
    """What the page needs to know about the build."""
    manifest = metadata.manifest
    given = manifest["input"]
    return {
        "title": title,
        "description": manifest["description"],
        "input": {"size": given["shape"][0], "crop": given["crop"], "dtype": given["dtype"]},
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


def write_thumbnails(
    folder: Path,
    rows: Sequence[Row],
    photos: Sequence[Photo],
    limit: int,
    progress: Callable[[], None] = lambda: None,
) -> dict[int, str]:
    """Write a JPEG for each reference whose photo is among those given.

    A photo is recognised by its bytes, wherever it is now: a reference's id starts with its hash.

    Args:
        folder: a new folder.
        rows: the table of references.
        photos: the photos of the build; others are skipped.
        limit: maximum bytes of all thumbnails, shared equally by the references; a picture too
            detailed for its share, even at the smallest size, has no thumbnail.
        progress: called when a photo is done.

    Returns:
        The names of the files in the folder, by index.

    Raises:
        InputError: none of the photos is a reference.
    """
    folder.mkdir()
    by_picture = ByPicture(str(row["id"]) for row in rows)
    share = limit // max(1, len(rows))
    names: dict[int, str] = {}
    known: set[int] = set()
    for photo in photos:
        with suppress(PictureError):
            content = read(photo)
            for place in by_picture.places(content):
                index = int(rows[place]["index"])
                small = None if index in known else _thumbnail(content, share)
                known.add(index)
                if small is not None:
                    names[index] = f"{index}.jpg"
                    (folder / names[index]).write_bytes(small)
        progress()
    if not known:
        raise InputError(
            "none of the photos is a reference: give the photos of the build", "other-photos"
        )
    return names


def _thumbnail(content: bytes, limit: int) -> bytes | None:
    try:
        image = decode(content)
    except PictureError:
        return None
    for side, quality in _STEPS:
        small = io.BytesIO()
        ImageOps.fit(image, (side, side)).save(small, "JPEG", quality=quality, optimize=True)
        if small.tell() <= limit:
            return small.getvalue()
    return None
