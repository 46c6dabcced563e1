"""TFLITE_METADATA: what Android Studio, MediaPipe and the Task Library read in a TFLite file.

The tables and their slots are those of metadata_schema.fbs, schema version 1.5.0:
https://github.com/google-ai-edge/mediapipe/blob/master/mediapipe/tasks/metadata/metadata_schema.fbs
Consumers match tensors by position, and find the files named here in the archive at the end of the
file. Everything written here has been in the schema since version 1.0.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pocketknn.builder.choices import growth
from pocketknn.builder.errors import InputError
from pocketknn.export.formats.storage.texts import licence, manifest_in
from pocketknn.export.output.names import LABELS, MANIFEST, PACKED, TABLE

from .model import Port, Signature

if TYPE_CHECKING:
    import flatbuffers

NAME = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_SINCE = "1.0.0"  # minimum version of the schema that a parser must know
_FEATURE, _IMAGE = 1, 2  # kinds of content
_RGB = 1
_NORMALIZATION = 1  # a kind of processing
_DESCRIPTION, _AXIS_LABELS = 1, 2  # kinds of associated files
_PROBABILITIES = "probabilities"

# Values in the slots of a table: texts, tables, lists of tables or of floats, and ints, which are
# bytes: members of an enum, or the type of a union.
Table = dict[int, Any]


def pack(texts: Mapping[str, str], signature: Signature) -> bytes:
    """The metadata of a model as a flatbuffer; the same bytes for the same arguments.

    Args:
        texts: the texts of the file, by the names by which it stores them.
        signature: its inputs and outputs.

    Raises:
        InputError: a label contains a line break.
        ValueError: `probabilities` and the labels differ in length.
    """
    import flatbuffers

    manifest = manifest_in(texts)
    _check_labels(manifest["labels"], signature)
    builder = flatbuffers.Builder(4096)
    table = PACKED if PACKED in texts else TABLE
    builder.Finish(_write(builder, _model(manifest, signature, table)), _IDENTIFIER)
    return bytes(builder.Output())


def _model(manifest: Mapping[str, Any], signature: Signature, table: str) -> Table:
    texts = {
        1: manifest["description"],
        2: manifest["version"],
        4: manifest["author"],
        5: licence(manifest),
    }
    named = {0: "pocketknn"} | {slot: text for slot, text in texts.items() if text}
    subgraph: Table = {
        2: [_input(port, manifest) for port in signature.inputs],
        3: [_output(port, manifest["outputs"], manifest["labels"]) for port in signature.outputs],
    }
    files = [
        _file(MANIFEST, "All choices of the build, the backbone and the classes.", _DESCRIPTION),
        _file(table, "The picture and label of each row that `indices` names.", _DESCRIPTION),
    ]
    return named | {3: [subgraph], 6: files, 7: _SINCE}


def _input(port: Port, whole: Mapping[str, Any]) -> Table:
    if port.name == growth.NAME:
        return _tensor(port, whole[growth.NAME]["is"], {0: _FEATURE, 1: {}})
    manifest = whole["input"]
    if "color" not in manifest:
        return _tensor(port, f"Vector of {port.shape[-1]} features.", {0: _FEATURE, 1: {}})
    high, wide = port.shape[1:3]
    description = (
        f"RGB picture, {wide}x{high}, values 0 to 255. Upright; crop: {manifest['crop']};"
        f" resample: {manifest['resample']}."
    )
    # The graph rescales pixels itself. Float inputs without this entry are refused.
    unchanged = {0: _NORMALIZATION, 1: {0: [0.0], 1: [1.0]}}
    return _tensor(port, description, {0: _IMAGE, 1: {0: _RGB}}) | {4: [unchanged]}


def _output(port: Port, manifest: dict[str, Any], labels: list[str]) -> Table:
    description = manifest[port.name]["is"] if port.name in manifest else ""
    table = _tensor(port, description, {0: _FEATURE, 1: {}})
    if labels and port.name == _PROBABILITIES:
        table[6] = [_file(LABELS, "The classes, one per line.", _AXIS_LABELS)]
    return table


def _tensor(port: Port, description: str, content: Table) -> Table:
    return {0: port.name, 1: description, 3: content}


def _file(name: str, description: str, kind: int) -> Table:
    return {0: name, 1: description, 2: kind}


def _check_labels(labels: list[str], signature: Signature) -> None:
    """Check the labels for problems that MediaPipe reports only at the first picture, or never."""
    for label in labels:
        if "\n" in label or "\r" in label:
            raise InputError(
                f"the class {label!r} has a line break, but {LABELS} has one class per line",
                "label-line-break",
            )
    for port in signature.outputs:
        if labels and port.name == _PROBABILITIES and port.shape[-1] != len(labels):
            raise ValueError(f"{port.shape[-1]} probabilities for {len(labels)} labels")


def _write(builder: flatbuffers.Builder, table: Table) -> int:
    """Write a table after everything it points at, as flatbuffers require."""
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
