"""A TFLite model as it lies in a file: the order of its outputs, and a block of metadata in it.

The tables are those of the schema that comes with LiteRT.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import flatbuffers

_IDENTIFIER = b"TFL3"
_LARGEST = (1 << 31) - (1 << 20)  # bytes of a flatbuffer, and room for the new root
_ALIGNMENT = 16  # of the data of a buffer, which the runtime maps as it is
_VERSION, _BUFFERS, _METADATA, _SLOTS = 0, 4, 6, 10  # of the table Model
_OUTPUTS = 2  # of the table SubGraph


@dataclass(frozen=True, kw_only=True)
class Port:
    """A tensor that is an input or an output.

    Attributes:
        name: what the signature calls it; the tensor itself has a name that says nothing.
        shape: with the batch of 1.
        tensor: its number.
    """

    name: str
    shape: tuple[int, ...]
    tensor: int


@dataclass(frozen=True, kw_only=True)
class Signature:
    """Inputs and outputs by position, which has nothing to do with the order of their names."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def ordered(self, names: Sequence[str]) -> Signature:
        """The outputs in the order of `names`; what is not among them comes last."""
        places = {name: place for place, name in enumerate(names)}
        outputs = sorted(
            self.outputs, key=lambda port: (places.get(port.name, len(names)), port.name)
        )
        return replace(self, outputs=tuple(outputs))


def signature(content: bytes) -> Signature:
    """The inputs and outputs of a model with one signature over one subgraph.

    Raises:
        ValueError: the model has more, or an output that the signature does not name.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content)
    if (model.SubgraphsLength(), model.SignatureDefsLength()) != (1, 1):
        raise ValueError("the model must have one subgraph and one signature")
    graph, named = model.Subgraphs(0), model.SignatureDefs(0)
    inputs = [named.Inputs(i) for i in range(named.InputsLength())]
    outputs = [named.Outputs(i) for i in range(named.OutputsLength())]
    return Signature(
        inputs=_ports(graph, [graph.Inputs(i) for i in range(graph.InputsLength())], inputs),
        outputs=_ports(graph, [graph.Outputs(i) for i in range(graph.OutputsLength())], outputs),
    )


def rewrite(content: bytes, ports: Signature, name: str, block: bytes) -> bytes:
    """Put a model's outputs into an order, and a named block of metadata into the model.

    A flatbuffer points forward only, and by distances. A new root in front of the old file can
    therefore point at all its parts, which stay what they are: no weight is read, moved against its
    alignment, or copied more than once. The new root repeats the old one, whose 4 bytes a buffer
    are lost, with one more entry in its lists of buffers and of metadata. The outputs are a list of
    tensor numbers, which is overwritten; signatures refer to tensors, not to places in that list.

    Args:
        content: a model.
        ports: its signature, with the outputs in the order wanted.
        name: what runtimes look for.
        block: the metadata.

    Returns:
        The new model; the old one where it is larger than a flatbuffer may be, as the positions of
        its weights then count from the start of the file.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    old = schema.Model.GetRootAs(content)
    tables = [old.Buffers(i) for i in range(old.BuffersLength())]
    if len(content) + len(block) > _LARGEST or any(t.Offset() > 1 for t in tables):
        return content
    # The builder counts from its end backwards, and the old file begins there: hence the minus.
    buffers = [-table._tab.Pos for table in tables]
    entries = [-old.Metadata(i)._tab.Pos for i in range(old.MetadataLength())]
    builder = flatbuffers.Builder(len(block) + 8 * len(buffers) + 1024)
    buffers.append(_buffer(builder, block))
    entries.append(_entry(builder, name, len(buffers) - 1))
    parts = {
        slot: -old._tab.Indirect(old._tab.Pos + place)
        for slot in range(_VERSION + 1, _SLOTS)
        if (place := old._tab.Offset(4 + 2 * slot))
    }
    parts |= {_BUFFERS: _vector(builder, buffers), _METADATA: _vector(builder, entries)}
    builder.StartObject(_SLOTS)
    builder.PrependUint32Slot(_VERSION, old.Version(), 0)
    for slot, part in parts.items():
        builder.PrependUOffsetTRelativeSlot(slot, part, 0)
    builder.Finish(builder.EndObject(), _IDENTIFIER)
    graph, rest = old.Subgraphs(0)._tab, memoryview(content)
    start = graph.Vector(graph.Offset(4 + 2 * _OUTPUTS))
    outputs = struct.pack(f"<{len(ports.outputs)}i", *(port.tensor for port in ports.outputs))
    return b"".join((builder.Output(), rest[:start], outputs, rest[start + len(outputs) :]))


def _ports(graph: Any, places: Sequence[int], named: Sequence[Any]) -> tuple[Port, ...]:  # noqa: ANN401
    """The names of the tensors at `places`; two names may stand for one tensor."""
    left = [(one.TensorIndex(), one.Name().decode()) for one in named]
    ports = []
    for place in places:
        pair = next((pair for pair in left if pair[0] == place), None)
        if pair is None:
            raise ValueError(f"the signature does not name tensor {place}")
        left.remove(pair)
        tensor = graph.Tensors(place)
        shape = tuple(tensor.Shape(axis) for axis in range(tensor.ShapeLength()))
        ports.append(Port(name=pair[1], shape=shape, tensor=int(place)))
    return tuple(ports)


def _buffer(builder: flatbuffers.Builder, block: bytes) -> int:
    builder.StartVector(1, len(block), _ALIGNMENT)
    for byte in reversed(block):
        builder.PrependByte(byte)
    data = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, data, 0)
    return int(builder.EndObject())


def _entry(builder: flatbuffers.Builder, name: str, buffer: int) -> int:
    called = builder.CreateString(name)
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, called, 0)
    builder.PrependUint32Slot(1, buffer, 0)
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, places: Sequence[int]) -> int:
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())
