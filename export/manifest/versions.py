"""The versions of what takes part in a build."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "tensorflow",
    "keras",
    "coremltools",
    "onnx",
    "tf2onnx",
    "numpy",
    "pillow",
    "ai-edge-litert",
    "onnxruntime",
)


def installed(*packages: str) -> dict[str, str]:
    """The versions of packages; one that is not there is left out."""
    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
