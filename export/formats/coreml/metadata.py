"""What Xcode shows of a model and of each of its features."""

from __future__ import annotations

from typing import Any

from pocketknn.export.formats.licence import licence

LABEL, LABEL_PROBABILITIES = "classLabel", "classLabelProbs"


def introduce(described: Any, manifest: dict[str, Any]) -> None:  # noqa: ANN401
    """What Xcode shows of the model and of each of its features."""
    said = described.metadata
    said.shortDescription, said.versionString = manifest["description"], manifest["version"]
    said.author, said.license = manifest["author"], licence(manifest)
    given = manifest["input"]
    (feed,) = described.input
    feed.shortDescription = (
        f"RGB picture, {given['crop']} crop, {given['shape'][0]}×{given['shape'][1]}"
        if given["name"] == "image"
        else f"{given['shape'][0]} features"
    )
    meanings = {name: output["is"] for name, output in manifest["outputs"].items()}
    meanings |= {
        LABEL: "the label with the most votes",
        LABEL_PROBABILITIES: "share of each label",
    }
    for feature in described.output:
        feature.shortDescription = meanings[feature.name]
    if manifest["labels"] and given["name"] == "image":
        said.userDefined["com.apple.coreml.model.preview.type"] = "imageClassifier"
