"""Join a Core ML package of a backbone and one of a head into one program."""

from __future__ import annotations

from pathlib import Path

from pocketknn.builder.choices import growth
from pocketknn.export.formats.storage.slots import Slots

from .package import BEFORE, Package

_OWN = "backbone_"  # begins the names of the backbone's values
_FEATURES = "features"


def join(backbone: Path, head: Path, path: Path, places: Slots) -> Slots:
    """Join the two packages; the backbone's operations come first."""
    body, whole = Package(backbone), Package(head)
    (picture,) = body.model.description.input
    renamed = {picture.name: picture.name, growth.EMBEDDING: _FEATURES}
    for operation in body.block.operations:
        for given in operation.inputs.values():
            for one in given.arguments:
                if one.WhichOneof("binding") == "name":
                    one.name = renamed.get(one.name, _OWN + one.name)
        for output in operation.outputs:
            output.name = renamed.get(output.name, _OWN + output.name)
        if "name" in operation.attributes:
            called = operation.attributes["name"].immediateValue.tensor.strings.values
            called[:] = [_OWN + one for one in called]
    added = whole.put_before(body)
    for listed, own in (
        (whole.model.description.input, body.model.description.input),
        (whole.function.inputs, body.function.inputs),
    ):
        (at,) = (number for number, one in enumerate(listed) if one.name == _FEATURES)
        listed[at].CopyFrom(own[0])
    whole.write(path)
    whole.save(path)
    return places.without(BEFORE).moved(BEFORE, added)
