"""The fields of an ONNX file that other tools read."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pocketknn.builder.choices import growth
from pocketknn.export.formats.storage.texts import licence

if TYPE_CHECKING:
    import onnx

# The meaning of pixels, in the terms of ONNX's MetadataProps.md.
_PIXELS = {
    "Image.BitmapPixelFormat": "Rgb8",
    "Image.ColorSpaceGamma": "SRGB",
    "Image.NominalPixelRange": "NominalRange_0_255",
}
_AXES = ("DATA_BATCH", "DATA_FEATURE", "DATA_FEATURE", "DATA_CHANNEL")  # DimensionDenotation.md


def introduce(proto: onnx.ModelProto, manifest: dict[str, Any]) -> None:
    """Fill the standard's own fields: what the model is and what its input means."""
    proto.producer_name, proto.producer_version = "pocketknn", version("pocketknn")
    proto.domain, proto.doc_string = "pocketknn", manifest["description"]
    proto.ClearField("model_version")  # the head of another build may have one
    if manifest["version"].isdecimal():
        proto.model_version = int(manifest["version"])
    feeds = {feed.name: feed for feed in proto.graph.input}
    if (feed := feeds.get("image")) is not None:
        feed.type.denotation = "IMAGE"
        for axis, meaning in zip(feed.type.tensor_type.shape.dim, _AXES, strict=True):
            axis.denotation = meaning
    for value in (*proto.graph.input, *proto.graph.output):
        value.doc_string = _meaning(manifest, value.name)


def _meaning(manifest: dict[str, Any], name: str) -> str:
    given = manifest["input"]
    if name == growth.NAME:
        return str(manifest[name]["is"])
    if name != given["name"]:
        return str(manifest["outputs"][name]["is"])
    if name != "image":
        return "feature vectors"
    return f"NHWC, RGB, 0..255, upright, crop {given['crop']}, resampled as {given['resample']}"


def properties(manifest: dict[str, Any]) -> dict[str, str]:
    """Properties that other tools read; `names`, `task` and `imgsz` are Ultralytics' keys."""
    given = manifest["input"]
    found = {"author": manifest["author"], "license": licence(manifest)}
    found |= {name: manifest[name] for name in ("version", "description")}
    found |= {"task": manifest["head"], "k": str(manifest["k"]), "metric": manifest["metric"]}
    if manifest["labels"]:
        names = {str(number): label for number, label in enumerate(manifest["labels"])}
        found["names"] = json.dumps(names, ensure_ascii=False)
    if given["name"] == "image":
        found |= {"imgsz": json.dumps(given["shape"][:2]), "crop": given["crop"]}
        found |= {"backbone": manifest["backbone"]["name"]} | _PIXELS
    return {name: text for name, text in found.items() if text}
