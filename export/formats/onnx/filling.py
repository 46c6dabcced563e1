"""Where in an ONNX file the references lie, and how others get there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pocketknn.export.formats import slots
from pocketknn.export.formats.slots import Content, Slots
from pocketknn.export.formats.texts import manifest_in

from .file import mapped, without, write
from .metadata import introduce
from .references_precision import stored


def locate(path: Path, content: Content) -> Slots:
    """Find the content's places: names of initializers, and outputs by number."""
    import onnx

    graph = onnx.load_model(path).graph
    tensors = [([t.name], onnx.numpy_helper.to_array(t)) for t in graph.initializer]
    numbers = [size for place, values in tensors for size in slots.sizes_in(place, values)]
    shapes = [value.type.tensor_type.shape.dim for value in graph.output]
    numbers += [
        ([place, axis], int(size.dim_value))
        for place, shape in enumerate(shapes)
        for axis, size in enumerate(shape)
    ]
    return slots.locate(content, tensors, numbers)


def content(path: Path, places: Slots) -> dict[str, NDArray[Any]]:
    """The constants of a file, flat, as they lie in it; the references stay in the file."""
    import onnx

    large = {place[0] for place in places.constants.get("references", ())}
    graph = without(path, large).graph
    values = {t.name: onnx.numpy_helper.to_array(t).ravel() for t in graph.initializer}
    values |= mapped(path, large)
    return {name: values[found[0][0]] for name, found in places.constants.items()}


def fill(
    source: Path, path: Path, places: Slots, content: Content, texts: Mapping[str, str]
) -> None:
    """Write a converted file again with other content, and the metadata in `metadata_props`.

    The references come last in the file, and go there as they lie in memory.
    """
    import onnx

    large = {
        place[0]: stored(slots.values(content, place, name))
        for name in content.large
        for place in places.constants.get(name, ())
    }
    proto = without(source, large)
    graph = proto.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for name, found in places.constants.items():
        for place in found:
            if place[0] in large:
                continue
            tensor, values = tensors[place[0]], slots.values(content, place, name)
            same = math.prod(tensor.dims) == values.size
            values = values.reshape(tensor.dims if same else values.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    for name, found in places.sizes.items():
        for first, second in found:
            if isinstance(first, str):
                changed = onnx.numpy_helper.to_array(tensors[first]).copy()
                changed.reshape(-1)[second] = content.sizes[name]
                tensors[first].CopyFrom(onnx.numpy_helper.from_array(changed, first))
            else:
                shape = graph.output[first].type.tensor_type.shape
                shape.dim[second].dim_value = content.sizes[name]
    introduce(proto, manifest_in(texts))
    write(path, proto, large, texts)
