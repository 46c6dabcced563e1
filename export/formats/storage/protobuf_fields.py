"""Read and write single fields of a protobuf file without the rest of it.

The format: https://protobuf.dev/programming-guides/encoding. A file's texts are a few kilobytes
among its weights; onnx and coremltools would read all of it, after seconds of imports.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_FIXED = {_EIGHT: 8, _FOUR: 4}
_LONGEST_VARINT = 10


class Field(NamedTuple):
    """The position of a field in the file: its key, and its content from `start` to `end`."""

    number: int
    key: int
    start: int
    end: int


def fields(file: BinaryIO, start: int, end: int) -> Iterator[Field]:
    """The length-delimited fields of the message between two positions, in order.

    Raises:
        ValueError: it is not a valid message.
    """
    place = start
    while place < end:
        began = place
        file.seek(place)
        key = _varint(file)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            _varint(file)
            place = file.tell()
        elif kind in _FIXED:
            place = file.tell() + _FIXED[kind]
        elif kind == _BYTES:
            length = _varint(file)
            place = file.tell() + length
            if number and place <= end:
                yield Field(number, began, place - length, place)
        else:
            raise ValueError(f"not protobuf: a field of kind {kind}")
        if not number or place > end:
            raise ValueError("not protobuf, or truncated")


def follow(file: BinaryIO, *numbers: int, inside: Field | None = None) -> Iterator[Field]:
    """The fields at a path of field numbers, which starts in the file's message or in `inside`.

    Raises:
        ValueError: it is not a valid message.
    """
    start, end = (inside.start, inside.end) if inside else (0, file.seek(0, os.SEEK_END))
    for one in fields(file, start, end):
        if one.number == numbers[0]:
            if len(numbers) == 1:
                yield one
            else:
                yield from follow(file, *numbers[1:], inside=one)


def content(file: BinaryIO, field: Field) -> bytes:
    """The bytes of a field."""
    file.seek(field.start)
    return file.read(field.end - field.start)


def texts(file: BinaryIO, *numbers: int) -> dict[str, str]:
    """The entries of a field that is a map of text to text, or a list of such pairs.

    Args:
        file: a message.
        numbers: the path to the field.

    Raises:
        ValueError: it is not a valid message, or a text is not UTF-8.
    """
    found = {}
    for entry in follow(file, *numbers):
        pair = {1: "", 2: ""}
        for part in fields(file, entry.start, entry.end):
            pair[part.number] = content(file, part).decode()
        found[pair[1]] = pair[2]
    return found


def header(number: int, length: int) -> bytes:
    """The bytes before the content of a length-delimited field."""
    written = bytearray()
    for value in (number << 3 | _BYTES, length):
        while value > 0x7F:
            written.append(value & 0x7F | 0x80)
            value >>= 7
        written.append(value)
    return bytes(written)


def _varint(file: BinaryIO) -> int:
    value = 0
    for place in range(_LONGEST_VARINT):
        byte = file.read(1)
        if not byte:
            raise ValueError("not protobuf, or truncated")
        value |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:
            return value
    raise ValueError("not protobuf: a number does not end")
