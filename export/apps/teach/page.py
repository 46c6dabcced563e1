"""The folder of the teaching page, for the server here or for any static server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pocketknn.builder.errors import InputError
from pocketknn.builder.references import memory_json
from pocketknn.builder.references.references import References
from pocketknn.export.apps import snippets
from pocketknn.export.apps.web.page import copy_runtime, copy_static
from pocketknn.export.apps.web.runtime import Runtime

from .embedder import Embedder
from .installable import make_installable

SLOTS = 5000  # examples that the page takes; more would slow down each answer
_DATA, _EXAMPLES, _MODELS = "page.json", "examples.json", "models"
_SHARED = (  # with the page of `web`
    *("camera.js", "elements.js", "picture.js", "votes.js"),
    *("icon.svg", "style.css"),
)


def check(references: References) -> None:
    """Check that the page can start from some references.

    Raises:
        InputError: they have no classes, or there are too many.
    """
    if not references.labels:
        raise InputError(
            "the page teaches classes, and these references have none; start without them",
            "no-labels",
        )
    if len(references) > SLOTS:
        raise InputError(
            f"the page takes at most {SLOTS:,} examples, not {len(references):,}; start from fewer:"
            " pocketknn refs condense --help",
            "too-many-rows",
        )


def write(
    folder: Path,
    models: Sequence[Embedder],
    runtime: Runtime,
    *,
    title: str,
    served: bool,
    examples: References | None = None,
) -> None:
    """Write everything of the page.

    Args:
        folder: the page's folder, which is empty.
        models: the backbones in the order of preference.
        runtime: the runtime for the browser.
        title: title of the page.
        served: whether the page is served by our server, which can build files; otherwise the page
            can be installed as an app.
        examples: references that the page starts from, if there is one backbone; None for none.
    """
    copy_static(folder, _SHARED)
    for source in (files(__package__) / "static").iterdir():
        (folder / source.name).write_bytes(source.read_bytes())
    copy_runtime(folder, runtime, webgpu=True)
    (folder / _MODELS).mkdir()
    data = {
        "title": title,
        "served": served,
        "webgpu": bool(runtime.webgpu),
        "slots": SLOTS,
        "models": [_model(folder, number, one) for number, one in enumerate(models)],
        "examples": None if examples is None else _EXAMPLES,
    }
    if examples is not None:
        memory_json.write(examples, folder / _EXAMPLES)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / _DATA).write_text(text, encoding="utf-8", newline="")
    if not served:
        make_installable(folder, [f"runtime/{name}" for name in runtime.webgpu])


def _model(folder: Path, number: int, model: Embedder) -> dict[str, Any]:
    """Write a model, and the code that crops for it; returns what the page must know about it."""
    file, square = (f"{_MODELS}/{number}.{suffix}" for suffix in ("onnx", "square.js"))
    manifest = model.write(folder / file)
    code = snippets.render("square.mjs", manifest)
    (folder / square).write_text(code, encoding="utf-8", newline="")
    backbone, given = manifest["backbone"], manifest["input"]
    return {
        "name": backbone["name"],
        "file": file,
        "square": square,
        "size": given["shape"][0],
        "crop": given["crop"],
        "dtype": given["dtype"],
        "dim": backbone["dim"],
        "sha256": backbone["sha256"],
    }
