"""The protobuf messages of Core ML's format that ML programs need.

coremltools has them all, but is not available on every system, and takes seconds to import. Names
and numbers are those of Model.proto, FeatureTypes.proto and MIL.proto:
https://github.com/apple/coremltools/tree/main/mlmodel/format. Only the nesting differs: all
messages are at the top level. Unknown fields of a file are preserved when it is rewritten.
"""

from __future__ import annotations

import re
from enum import IntEnum
from functools import cache
from types import SimpleNamespace
from typing import Any

_PACKAGE = "pocketknn.coreml"
_ONE, _MANY = 1, 3  # LABEL_OPTIONAL, LABEL_REPEATED
_ENUMS = ("ColorSpace", "DataType")
# A message and its fields: number, type (* repeated, [] map from text), name, and its oneof group.
_SCHEMA = """
Model: 1 int32 specificationVersion, 2 ModelDescription description, 502 Program mlProgram / Type
ModelDescription: 1 FeatureDescription* input, 10 FeatureDescription* output,
    11 string predictedFeatureName, 12 string predictedProbabilitiesName, 100 Metadata metadata
FeatureDescription: 1 string name, 2 string shortDescription, 3 FeatureType type
Metadata: 1 string shortDescription, 2 string versionString, 3 string author, 4 string license,
    100 string[] userDefined
FeatureType: 3 StringFeatureType stringType / Type, 4 ImageFeatureType imageType / Type,
    5 ArrayFeatureType multiArrayType / Type, 6 DictionaryFeatureType dictionaryType / Type,
    1000 bool isOptional
StringFeatureType:
ImageFeatureType: 1 int64 width, 2 int64 height, 3 ColorSpace colorSpace
ColorSpace: 0 INVALID_COLOR_SPACE, 10 GRAYSCALE, 20 RGB, 30 BGR, 40 GRAYSCALE_FLOAT16
ArrayFeatureType: 1 int64* shape, 2 int32 dataType,
    51 float floatDefaultValue / defaultOptionalValue
DictionaryFeatureType: 2 StringFeatureType stringKeyType / KeyType
Program: 1 int64 version, 2 Function[] functions, 4 Value[] attributes
Function: 1 NamedValueType* inputs, 2 string opset, 3 Block[] block_specializations
Block: 2 string* outputs, 3 Operation* operations
Operation: 1 string type, 2 Argument[] inputs, 3 NamedValueType* outputs, 4 Block* blocks,
    5 Value[] attributes
Argument: 1 Binding* arguments
Binding: 1 string name / binding, 2 Value value / binding
NamedValueType: 1 string name, 2 ValueType type
ValueType: 1 TensorType tensorType / type, 2 ListType listType / type,
    4 DictionaryType dictionaryType / type
TensorType: 1 DataType dataType, 2 int64 rank, 3 Dimension* dimensions
DataType: 0 UNUSED_TYPE, 1 BOOL, 2 STRING, 10 FLOAT16, 11 FLOAT32, 12 FLOAT64, 21 INT8, 22 INT16,
    23 INT32, 31 UINT8, 32 UINT16
Dimension: 1 ConstantDimension constant / dimension
ConstantDimension: 1 uint64 size
ListType: 1 ValueType type, 2 Dimension length
DictionaryType: 1 ValueType keyType, 2 ValueType valueType
Value: 2 ValueType type, 3 ImmediateValue immediateValue / value,
    5 BlobFileValue blobFileValue / value
ImmediateValue: 1 TensorValue tensor / value, 3 ListValue list / value,
    4 DictionaryValue dictionary / value
BlobFileValue: 1 string fileName, 2 uint64 offset
ListValue: 1 Value* values
DictionaryValue: 1 KeyValuePair* values
KeyValuePair: 1 Value key, 2 Value value
TensorValue: 1 RepeatedFloats floats / value, 2 RepeatedInts ints / value,
    3 RepeatedBools bools / value, 4 RepeatedStrings strings / value, 7 RepeatedBytes bytes / value
RepeatedFloats: 1 float* values
RepeatedInts: 1 int32* values
RepeatedBools: 1 bool* values
RepeatedStrings: 1 string* values
RepeatedBytes: 1 bytes values
"""
_FIELD = re.compile(r"(\w+)(\*|\[\])? (\w+)(?: / (\w+))?")


@cache
def messages() -> Any:  # noqa: ANN401  # the classes have no stubs
    """The classes of all messages, and the enums, by name.

    They are in a pool of their own, so that coremltools can be loaded at the same time.
    """
    from google.protobuf import descriptor_pool, message_factory

    written = _file()
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(written.SerializeToString())
    made: dict[str, Any] = {
        enum.name: IntEnum(enum.name, {value.name: value.number for value in enum.value})
        for enum in written.enum_type
    }
    for message in written.message_type:
        found = pool.FindMessageTypeByName(f"{_PACKAGE}.{message.name}")
        made[message.name] = message_factory.GetMessageClass(found)
    return SimpleNamespace(**made)


def _file() -> Any:  # noqa: ANN401
    """The schema as protobuf's compiler would describe it."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    file = FileDescriptorProto(name=_PACKAGE, package=_PACKAGE, syntax="proto3")
    for name, body in re.findall(r"^(\w+):((?: .+\n)+|\n)", _SCHEMA, re.MULTILINE):
        fields = [one.split(maxsplit=1) for one in body.split(",") if one.strip()]
        if name in _ENUMS:
            enum = file.enum_type.add(name=name)
            for number, value in fields:
                enum.value.add(name=value.strip(), number=int(number))
            continue
        message = file.message_type.add(name=name)
        for number, rest in fields:
            _add(message, int(number), rest.strip())
    return file


def _add(message: Any, number: int, rest: str) -> None:  # noqa: ANN401
    """Add a field to the description of a message."""
    found = _FIELD.fullmatch(rest)
    assert found, rest
    kind, many, name, group = found.groups()
    field = message.field.add(name=name, number=number, label=_MANY if many else _ONE)
    if many == "[]":  # a map: a list of messages with a key and a value
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _set_type(entry.field.add(name="key", number=1, label=_ONE), "string")
        _set_type(entry.field.add(name="value", number=2, label=_ONE), kind)
        kind = f"{message.name}.{entry.name}"
    _set_type(field, kind)
    if group:
        groups = [one.name for one in message.oneof_decl]
        if group not in groups:
            message.oneof_decl.add(name=group)
            groups.append(group)
        field.oneof_index = groups.index(group)


def _set_type(field: Any, kind: str) -> None:  # noqa: ANN401
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto

    if kind[0].islower():
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
        return
    field.type = (
        FieldDescriptorProto.TYPE_ENUM if kind in _ENUMS else FieldDescriptorProto.TYPE_MESSAGE
    )
    field.type_name = f".{_PACKAGE}.{kind}"
