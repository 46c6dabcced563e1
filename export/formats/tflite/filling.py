"""Where in a TFLite file the references lie, and how others get there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.export.formats.storage import slots
from pocketknn.export.formats.storage.slots import Content, Slots
from pocketknn.export.formats.storage.texts import append_files, manifest_in
from pocketknn.export.output.checksums import sealed

from .metadata import NAME, pack
from .model import Model

# Of the outputs: the converter's order is another in each build, and apps take the first.
_ORDER = ("probabilities", "value", "scores", "indices")


def locate(path: Path, content: Content) -> Slots:
    """Find the content's places: numbers of tensors, with an axis or a place in their values."""
    model = Model(path.read_bytes())
    tensors, numbers = [], []
    for number, values in model.constants():
        tensors.append(([number], values))
        numbers += slots.sizes_in([number, "value"], values)
    for number, tensor in enumerate(model.graph.tensors):
        axes = enumerate(tensor.shape if tensor.shape is not None else ())
        numbers += [([number, "axis", axis], int(size)) for axis, size in axes]
    return slots.locate(content, tensors, numbers)


def content(path: Path, places: Slots) -> dict[str, NDArray[Any]]:
    """The constants of a file, flat, as they lie in it; the references stay in the file."""
    values = dict(Model(np.memmap(path, np.uint8, "r")).constants())
    return {name: values[found[0][0]] for name, found in places.constants.items()}


def fill(
    source: Path, path: Path, places: Slots, content: Content, texts: Mapping[str, str]
) -> None:
    """Write a converted file again with other content, metadata, and its outputs in order."""
    model = Model(np.memmap(source, np.uint8, "r"))
    streamed = {}
    for name, found in places.constants.items():
        for place in found:
            values = slots.values(content, place, name)
            if name in content.large:
                streamed[place[0]] = values
            else:
                model.set_constant(place[0], values)
    for name, found in places.sizes.items():
        for number, what, at in found:
            if what == "axis":
                model.set_axis(number, at, content.sizes[name])
            else:
                model.set_value(number, at, content.sizes[name])
    ports = model.signature().ordered(_ORDER)
    model.reorder(ports)
    model.set_metadata(NAME, pack(manifest_in(texts), ports))
    digest = model.write(path, streamed)
    append_files(path, sealed(texts, digest))
