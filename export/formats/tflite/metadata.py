"""TFLITE_METADATA: what Android Studio, MediaPipe and the Task Library read in a TFLite file.

The tables and their slots are those of metadata_schema.fbs, schema version 1.5.0:
https://github.com/google-ai-edge/mediapipe/blob/master/mediapipe/tasks/metadata/metadata_schema.fbs
Consumers match tensors by position, and find the files that are named here in the archive at the
end of the file. Everything that is written here has been in the schema since its version 1.0.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pocketknn.builder.errors import InputError
from pocketknn.export.formats.storage.texts import licence
from pocketknn.export.output.names import LABELS, MANIFEST, TABLE

from .model import Port, Signature

if TYPE_CHECKING:
    import flatbuffers

NAME = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_SINCE = "1.0.0"  # of the schema: the least parser that knows all that is written
_FEATURE, _IMAGE = 1, 2  # kinds of content
_RGB = 1
_NORMALIZATION = 1  # a kind of processing
_DESCRIPTION, _AXIS_LABELS = 1, 2  # kinds of associated files
_PROBABILITIES = "probabilities"

# What stands in the slots of a table: texts, tables, lists of tables or of floats, and ints, which
# are bytes: members of an enum, or what a union holds.
Table = dict[int, Any]


def pack(manifest: Mapping[str, Any], signature: Signature) -> bytes:
    """The metadata of a model as a flatbuffer; the same bytes for the same arguments.

    Raises:
        InputError: a label that does not fit into a line.
        ValueError: `probabilities` has another length than the labels.
    """
    import flatbuffers

    _check_labels(manifest["labels"], signature)
    builder = flatbuffers.Builder(4096)
    builder.Finish(_write(builder, _model(manifest, signature)), _IDENTIFIER)
    return bytes(builder.Output())


def _model(manifest: Mapping[str, Any], signature: Signature) -> Table:
    texts = {
        1: manifest["description"],
        2: manifest["version"],
        4: manifest["author"],
        5: licence(manifest),
    }
    said = {0: "pocketknn"} | {slot: text for slot, text in texts.items() if text}
    subgraph: Table = {
        2: [_input(port, manifest["input"]) for port in signature.inputs],
        3: [_output(port, manifest["outputs"], manifest["labels"]) for port in signature.outputs],
    }
    files = [
        _file(MANIFEST, "All choices of the build, the backbone and the classes.", _DESCRIPTION),
        _file(TABLE, "From the rows in `indices` to pictures and labels.", _DESCRIPTION),
    ]
    return said | {3: [subgraph], 6: files, 7: _SINCE}


def _input(port: Port, manifest: dict[str, Any]) -> Table:
    if "color" not in manifest:
        return _tensor(port, f"Vector of {port.shape[-1]} features.", {0: _FEATURE, 1: {}})
    high, wide = port.shape[1:3]
    said = (
        f"RGB picture, {wide}x{high}, values 0 to 255. Upright; crop: {manifest['crop']};"
        f" resample: {manifest['resample']}."
    )
    # The graph rescales: pixels go in as they are. Float inputs without this are refused.
    unchanged = {0: _NORMALIZATION, 1: {0: [0.0], 1: [1.0]}}
    return _tensor(port, said, {0: _IMAGE, 1: {0: _RGB}}) | {4: [unchanged]}


def _output(port: Port, manifest: dict[str, Any], labels: list[str]) -> Table:
    said = manifest[port.name]["is"] if port.name in manifest else ""
    table = _tensor(port, said, {0: _FEATURE, 1: {}})
    if labels and port.name == _PROBABILITIES:
        table[6] = [_file(LABELS, "The classes, one a line.", _AXIS_LABELS)]
    return table


def _tensor(port: Port, description: str, content: Table) -> Table:
    return {0: port.name, 1: description, 3: content}


def _file(name: str, description: str, kind: int) -> Table:
    return {0: name, 1: description, 2: kind}


def _check_labels(labels: list[str], signature: Signature) -> None:
    """What MediaPipe would find out at the first picture, or never."""
    for label in labels:
        if "\n" in label or "\r" in label:
            raise InputError(f"the class {label!r} does not fit into a line of {LABELS}")
    for port in signature.outputs:
        if labels and port.name == _PROBABILITIES and port.shape[-1] != len(labels):
            raise ValueError(f"{port.shape[-1]} probabilities for {len(labels)} labels")


def _write(builder: flatbuffers.Builder, table: Table) -> int:
    """Write a table after all that it points at, which is the order of a flatbuffer."""
    places = {
        slot: _place(builder, value) for slot, value in table.items() if not isinstance(value, int)
    }
    builder.StartObject(max(table, default=-1) + 1)
    for slot, value in table.items():
        if slot in places:
            builder.PrependUOffsetTRelativeSlot(slot, places[slot], 0)
        else:
            builder.PrependInt8Slot(slot, value, 0)
    return int(builder.EndObject())


def _place(builder: flatbuffers.Builder, value: str | list[Any] | Table) -> int:
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, dict):
        return _write(builder, value)
    numbers = isinstance(value[0], float)
    items = value if numbers else [_write(builder, item) for item in value]
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        (builder.PrependFloat32 if numbers else builder.PrependUOffsetTRelative)(item)
    return int(builder.EndVector())
