"""The table of formats, and the code for apps that comes with them."""

from __future__ import annotations

from importlib.resources import files

from . import coreml, keras, onnx, tflite
from .options import Options
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


def precision_of(name: str, options: Options, backbone: object | None) -> str:
    """The requested precision if the format supports it, otherwise the format's default.

    Without a backbone it is always the default, as there is nothing to reduce.
    """
    target, wanted = FORMATS[name], options.precision
    return wanted if backbone and wanted in target.PRECISIONS else target.PRECISION
