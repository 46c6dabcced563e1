"""Join an ONNX file of a backbone and one of a head into one graph."""

from __future__ import annotations

from pathlib import Path

from pocketknn.builder.choices import growth
from pocketknn.export.formats.storage.slots import INPUT, Slots

_OWN = "backbone/"  # begins the names of the backbone's nodes and values
_FEATURES = "features"


def join(backbone: Path, head: Path, path: Path, places: Slots) -> Slots:
    """Join the two files; the head's names do not change, so its content keeps its places."""
    import onnx

    body, whole = onnx.load_model(backbone), onnx.load_model(head)
    (picture,) = body.graph.input
    renamed = {"": "", picture.name: picture.name, growth.EMBEDDING: _FEATURES}
    for node in body.graph.node:
        node.name = _OWN + node.name
        for values in (node.input, node.output):
            values[:] = [renamed.get(name, _OWN + name) for name in values]
    for tensor in body.graph.initializer:
        tensor.name = _OWN + tensor.name
    nodes = [*body.graph.node, *whole.graph.node]
    inputs = [picture if one.name == _FEATURES else one for one in whole.graph.input]
    joined = onnx.GraphProto(
        name=whole.graph.name,
        node=nodes,
        initializer=[*whole.graph.initializer, *body.graph.initializer],
        input=inputs,
        output=whole.graph.output,
    )
    whole.graph.CopyFrom(joined)
    onnx.save_model(whole, path)
    return places.without(INPUT)
