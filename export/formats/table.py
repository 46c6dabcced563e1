"""The formats: a line each."""

from __future__ import annotations

from pocketknn.export.formats import coreml, keras, onnx, tflite

from .protocol import Format

FORMATS: dict[str, Format] = {
    "keras": keras,
    "tflite": tflite,
    "coreml": coreml,
    "onnx": onnx,
}
