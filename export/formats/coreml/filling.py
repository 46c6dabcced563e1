"""Locate the references in a Core ML package, and replace them, possibly in fewer bytes.

The official converter would store float16 and int8 references as float32; here Core ML widens them
when it loads the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError
from pocketknn.export.formats.storage import slots
from pocketknn.export.formats.storage.texts import (
    PREFIX,
    as_properties,
    licence,
    manifest_in,
    of_properties,
)
from pocketknn.export.output.checksums import sealed

from .files import LABEL, LABEL_PROBABILITIES
from .messages import messages
from .package import BEFORE, Package

if TYPE_CHECKING:
    from pocketknn.export.formats.storage.slots import Content, Slots

_HELD = {  # the type of a value, and the field that holds it
    str: ("STRING", "strings"),
    np.int8: ("INT8", "bytes"),
    np.int32: ("INT32", "ints"),
    np.float32: ("FLOAT32", "floats"),
}


def locate(path: Path, content: Content) -> Slots:
    """Find the places of the content: values, axes (also of inputs) and single numbers."""
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
                if operation.type != "const"  # a constant's shape follows its values
            ]
    for at, given in enumerate(package.function.inputs):
        axes = enumerate(given.type.tensorType.dimensions)
        numbers += [([BEFORE, "input", at, axis], size.constant.size) for axis, size in axes]
    return slots.locate(content, tensors, numbers)


def constants(path: Path, places: Slots) -> dict[str, NDArray[Any]]:
    """The constants of a file, flat, as stored; the references are memory-mapped."""
    package = Package(path)
    found = {}
    for name, (place, *_) in places.constants.items():
        values = package.array(package.value(place[:-1] if place[-1] == "T" else place))
        if values is None:
            raise InputError(
                f"{path.name} does not hold its {name} at the recorded place", "file-damaged"
            )
        found[name] = values
    return found


def fill(
    source: Path, path: Path, places: Slots, content: Content, texts: Mapping[str, str]
) -> None:
    """Rewrite a converted package with other content, and the descriptions Xcode shows."""
    package = Package(source)
    for _, place, values in slots.filled(places, content):
        package.set_array(place[:-1] if place[-1] == "T" else place, values)
    for place, size in slots.resized(places, content):
        package.set_size(place, size)
    if content.labels:
        package.set_classes(content.labels)
    described = package.model.description
    _introduce(described, manifest_in(texts))
    defined = described.metadata.userDefined
    for name in of_properties(defined):  # the source's: its table may be under another name
        del defined[PREFIX + name]
    defined.update(as_properties(sealed(texts, package.write(path))))
    package.save(path)


def _introduce(described: Any, manifest: dict[str, Any]) -> None:  # noqa: ANN401
    """Describe the model and each of its features, as shown by Xcode."""
    metadata = described.metadata
    metadata.shortDescription, metadata.versionString = manifest["description"], manifest["version"]
    metadata.author, metadata.license = manifest["author"], licence(manifest)
    given = manifest["input"]
    asked = (
        f"RGB picture, {given['crop']} crop, {given['shape'][0]}×{given['shape'][1]}"
        if given["name"] == "image"
        else f"{given['shape'][0]} features"
    )
    for feed in described.input:
        feed.shortDescription = asked if feed.name == given["name"] else manifest[feed.name]["is"]
    meanings = {name: output["is"] for name, output in manifest["outputs"].items()}
    meanings |= {
        LABEL: "the label with the most votes",
        LABEL_PROBABILITIES: "share of each label",
    }
    for feature in described.output:
        feature.shortDescription = meanings[feature.name]
    if manifest["labels"] and given["name"] == "image":
        metadata.userDefined["com.apple.coreml.model.preview.type"] = "imageClassifier"


def narrow(path: Path, places: Slots, kinds: Mapping[str, str]) -> Slots:
    """Change the types of constants, with operations that widen them."""
    package = Package(path)
    for name, kind in kinds.items():
        for number, *_ in places.constants[name]:
            added = _store(package, number, kind)
            places = places.moved(number, added)
            if added:  # the operation that widens the table has its height too
                places.sizes[name].append([number + added, "axis", 0, 0])
            if kind == "int8":
                places.constants[name] = [
                    [one[0], one[1], "quantized_data", *one[3:]] if one[0] == number else one
                    for one in places.constants[name]
                ]
    package.rewrite()
    return places


def _store(package: Package, number: int, kind: str) -> int:
    """Store a constant as `int8` or `float16`; Core ML turns it into float32 on loading.

    Args:
        package: the package.
        number: number of the operation that is the constant.
        kind: the type.

    Returns:
        The number of operations inserted after that one.
    """
    kinds, operations = messages().DataType, package.block.operations
    table = operations[number]
    name, value = table.outputs[0].name, table.attributes["val"]
    shape = [axis.constant.size for axis in value.type.tensorType.dimensions]
    package.replace(value, np.zeros(shape, np.int8 if kind == "int8" else np.float16))
    if kind == "float16":
        value.type.tensorType.dataType = kinds.FLOAT16
        how, wide = _constant(f"{name}_float32", "fp32"), messages().Operation(type="cast")
        wide.outputs.add().CopyFrom(table.outputs[0])
        table.outputs[0].name = _called(table, f"{name}_half")
        table.outputs[0].type.CopyFrom(value.type)
        wide.inputs["x"].arguments.add().name = f"{name}_half"
        wide.inputs["dtype"].arguments.add().name = how.outputs[0].name
        wide.attributes["name"].CopyFrom(table.attributes["name"])
        _called(wide, f"{name}_widened")
        operations.insert(number + 1, how)
        operations.insert(number + 2, wide)
        return 2
    value.type.tensorType.dataType = kinds.INT8
    table.type = "constexpr_affine_dequantize"
    table.attributes["quantized_data"].CopyFrom(value)
    del table.attributes["val"]
    given = {"scale": np.float32(1), "zero_point": np.int8(0), "axis": np.int32(0)}
    for key, single in given.items():
        table.attributes[key].CopyFrom(_value(single))
    return 0


def _called(operation: Any, name: str) -> str:  # noqa: ANN401
    """Name an operation, and return the name."""
    operation.attributes["name"].immediateValue.tensor.strings.values[:] = [name]
    return name


def _constant(name: str, text: str) -> Any:  # noqa: ANN401
    """An operation that is a constant text."""
    made = messages().Operation(type="const")
    made.attributes["name"].CopyFrom(_value(name))
    made.attributes["val"].CopyFrom(_value(text))
    made.outputs.add(name=name).type.CopyFrom(made.attributes["val"].type)
    return made


def _value(single: Any) -> Any:  # noqa: ANN401
    """A text or a number as a protobuf message of type Value."""
    value = messages().Value()
    kind, field = _HELD[type(single)]
    value.type.tensorType.dataType = messages().DataType[kind]
    held = getattr(value.immediateValue.tensor, field)
    if field == "bytes":
        held.values = single.tobytes()
    else:
        held.values.append(single)
    return value
