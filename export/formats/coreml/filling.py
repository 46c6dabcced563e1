"""Where in a Core ML package the references lie, and how others get there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from pocketknn.builder.errors import InputError
from pocketknn.export.formats.storage import slots
from pocketknn.export.formats.storage.texts import as_properties, licence, manifest_in
from pocketknn.export.output.checksums import sealed

from .files import LABEL, LABEL_PROBABILITIES
from .package import Package

if TYPE_CHECKING:
    from pocketknn.export.formats.storage.slots import Content, Slots


def locate(path: Path, content: Content) -> Slots:
    """Find the content's places: of values, of axes, and of single numbers."""
    package = Package(path)
    tensors, numbers = [], []
    for place, value in package.constants():
        values = package.array(value)
        if values is None:
            continue
        tensors.append((place, values))
        numbers += slots.sizes_in([*place, "value"], values)
    for number, operation in enumerate(package.block.operations):
        for at, output in enumerate(operation.outputs):
            axes = enumerate(output.type.tensorType.dimensions)
            numbers += [
                ([number, "axis", at, axis], size.constant.size)
                for axis, size in axes
                if operation.type != "const"  # whose shape follows its values
            ]
    return slots.locate(content, tensors, numbers)


def content(path: Path, places: Slots) -> dict[str, NDArray[Any]]:
    """The constants of a file, flat, as they lie in it; the references stay in the file."""
    package = Package(path)
    found = {}
    for name, (place, *_) in places.constants.items():
        values = package.array(package.value(place[:-1] if place[-1] == "T" else place))
        if values is None:
            raise InputError(f"{path.name} does not hold its {name} where it says")
        found[name] = values
    return found


def fill(
    source: Path, path: Path, places: Slots, content: Content, texts: Mapping[str, str]
) -> None:
    """Write a converted package again with other content, and what Xcode shows of it."""
    package = Package(source)
    for name, found in places.constants.items():
        for place in found:
            by_columns = place[-1] == "T"
            package.set_array(
                place[:-1] if by_columns else place, slots.values(content, place, name)
            )
    for name, found in places.sizes.items():
        for number, what, *rest in found:
            package.set_size([number, what, *rest], content.sizes[name])
    if content.labels:
        package.set_classes(content.labels)
    described = package.model.description
    introduce(described, manifest_in(texts))
    own = as_properties(sealed(texts, package.write(path)))
    for name, text in own.items():
        described.metadata.userDefined[name] = text
    package.save(path)


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
