"""Pack the tables of a model into bytes, with its buffers aligned as the runtime requires."""

from __future__ import annotations

from typing import Any

ALIGNMENT = 16  # bytes; of a buffer's data, which the runtime maps into memory
_IDENTIFIER = b"TFL3"


def packed(tree: Any) -> bytearray:  # noqa: ANN401
    """The tables and all buffers, with their data aligned as the runtime requires."""
    import flatbuffers

    builder = flatbuffers.Builder(sum(len(b.data) for b in tree.buffers if b.data is not None))
    for buffer in tree.buffers:
        buffer.Pack = _aligned(buffer)  # the schema's own method ignores the alignment
    builder.Finish(tree.Pack(builder), _IDENTIFIER)
    for buffer in tree.buffers:
        del buffer.Pack  # it refers to its buffer, which would keep the file in memory
    return bytearray(builder.Output())


def _aligned(buffer: Any) -> Any:  # noqa: ANN401
    def pack(builder: Any) -> int:  # noqa: ANN401
        data = None
        if buffer.data is not None:
            content = bytes(buffer.data)
            builder.StartVector(1, len(content), ALIGNMENT)
            builder.head -= len(content)
            builder.Bytes[builder.head : builder.head + len(content)] = content
            data = builder.EndVector()
        builder.StartObject(1)
        if data is not None:
            builder.PrependUOffsetTRelativeSlot(0, data, 0)
        return int(builder.EndObject())

    return pack


def pointer(packed: bytearray, buffer: int) -> int:
    """The position of the offset from a buffer to its data."""
    from ai_edge_litert import schema_py_generated as schema

    table = schema.Model.GetRootAs(packed).Buffers(buffer)._tab
    return int(table.Pos + table.Offset(4))
