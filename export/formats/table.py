"""The formats, a line each, and the code for apps that comes with them."""

from __future__ import annotations

from importlib.resources import files

from pocketknn.export.formats import coreml, keras, onnx, tflite

from .protocol import Format

FORMATS: dict[str, Format] = {
    "keras": keras,
    "tflite": tflite,
    "coreml": coreml,
    "onnx": onnx,
}
TEMPLATE = ".j2"
# Each snippet with the format that it runs.
SNIPPETS = {
    template.name.removesuffix(TEMPLATE): name
    for name, target in FORMATS.items()
    if (folder := files(target.__name__) / "snippets").is_dir()
    for template in folder.iterdir()
    if template.name.endswith(TEMPLATE)
}
