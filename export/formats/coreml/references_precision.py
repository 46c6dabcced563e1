"""Smaller references: constants of the head in 8 or 16 bits, in a package that was converted.

The official converter would make float32 of them, and so does Core ML when it loads the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .messages import messages
from .package import Package

if TYPE_CHECKING:
    from pocketknn.export.formats.storage.slots import Slots

_HELD = {  # the type of a value, and the field that holds it
    str: ("STRING", "strings"),
    np.int8: ("INT8", "bytes"),
    np.int32: ("INT32", "ints"),
    np.float32: ("FLOAT32", "floats"),
}


def narrow(path: Path, places: Slots, kinds: Mapping[str, str]) -> Slots:
    """Change the types of constants, with operations that widen them."""
    package = Package(path)
    for name, kind in kinds.items():
        for number, *_ in places.constants[name]:
            added = _store(package, number, kind)
            places = places.moved(number, added)
            if added:  # what widens the table has its height too
                places.sizes[name].append([number + added, "axis", 0, 0])
            if kind == "int8":
                places.constants[name] = [
                    [one[0], one[1], "quantized_data", *one[3:]] if one[0] == number else one
                    for one in places.constants[name]
                ]
    package.rewrite()
    return places


def _store(package: Package, number: int, kind: str) -> int:
    """Store a constant as `int8` or `float16`; Core ML makes float32 of it when it loads.

    Args:
        package: the package.
        number: of the operation that is the constant.
        kind: the type.

    Returns:
        How many operations there are now behind that one which were not there.
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
    """Give an operation a name; the name."""
    operation.attributes["name"].immediateValue.tensor.strings.values[:] = [name]
    return name


def _constant(name: str, text: str) -> Any:  # noqa: ANN401
    """An operation that is a text."""
    made = messages().Operation(type="const")
    made.attributes["name"].CopyFrom(_value(name))
    made.attributes["val"].CopyFrom(_value(text))
    made.outputs.add(name=name).type.CopyFrom(made.attributes["val"].type)
    return made


def _value(single: Any) -> Any:  # noqa: ANN401
    """A text or a number as the message of a value."""
    value = messages().Value()
    kind, field = _HELD[type(single)]
    value.type.tensorType.dataType = messages().DataType[kind]
    held = getattr(value.immediateValue.tensor, field)
    if field == "bytes":
        held.values = single.tobytes()
    else:
        held.values.append(single)
    return value
