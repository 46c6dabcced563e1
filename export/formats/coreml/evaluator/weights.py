"""The numbers of a program: how each type is stored, and the weights file, read where it lies.

A weights file is a header of 64 bytes and then blobs: each a record of 64 bytes, which a program
refers to, and its values, both at a multiple of 64. The format is public:
https://github.com/apple/coremltools/blob/main/mlmodel/src/MILBlob/Blob/StorageFormat.hpp
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .arrays import Array

_SENTINEL, _ALIGNMENT = 0xDEADBEEF, 64
_RECORD = struct.Struct("<IIQQ")  # sentinel, code of the type, size and place of the values


class Number(NamedTuple):
    """How numbers of a type are held: here, and packed in a file.

    Attributes:
        dtype: the type in numpy, whole bytes.
        bits: the width where packed.
        code: what weights files call the type; None of one that they cannot hold.
    """

    dtype: np.dtype[Any]
    bits: int
    code: int | None


def _number(dtype: str, code: int | None = None, bits: int | None = None) -> Number:
    found = np.dtype(dtype)
    return Number(found, bits or 8 * found.itemsize, code)


NUMBERS: Mapping[str, Number] = {  # by their names in MIL.proto
    "BOOL": _number("?"),
    "FLOAT16": _number("<f2", 1),
    "FLOAT32": _number("<f4", 2),
    "FLOAT64": _number("<f8"),
    "INT4": _number("i1", 8, 4),
    "INT8": _number("i1", 4),
    "INT16": _number("<i2", 6),
    "INT32": _number("<i4", 14),
    "INT64": _number("<i8"),
    "UINT1": _number("u1", 9, 1),
    "UINT2": _number("u1", 10, 2),
    "UINT3": _number("u1", 12, 3),
    "UINT4": _number("u1", 11, 4),
    "UINT6": _number("u1", 13, 6),
    "UINT8": _number("u1", 3),
    "UINT16": _number("<u2", 7),
    "UINT32": _number("<u4", 15),
    "UINT64": _number("<u8"),
}


def unpack(content: Array, number: Number, shape: tuple[int, ...]) -> Array:
    """Numbers of a type from bytes; of whole bytes a view, and nothing is copied.

    Args:
        content: (n,) uint8; what is narrower than a byte begins with the lowest bits of the first.
        number: the type.
        shape: how many numbers, and how they lie.

    Raises:
        ValueError: there are more or fewer bytes than that.
    """
    count = math.prod(shape)
    if len(content) != -(-count * number.bits // 8):
        raise ValueError(
            f"{len(content)} bytes, where {number.dtype} of shape {shape} are declared"
        )
    if number.bits >= 8:
        return content.view(number.dtype).reshape(shape)
    bits = np.unpackbits(content, count=count * number.bits, bitorder="little")
    values = np.packbits(bits.reshape(count, number.bits), axis=1, bitorder="little").reshape(shape)
    if number.dtype.kind == "u":
        return values
    spare = 8 - number.bits
    return values.view(np.int8) << spare >> spare  # which repeats the sign


class Weights:
    """The weights files of a folder, by their names."""

    def __init__(self, folder: Path) -> None:
        self._file = cache(lambda name: np.memmap(folder / name, np.uint8, "r"))

    def read(self, name: str, place: int, number: Number, shape: tuple[int, ...]) -> Array:
        """The values of the blob whose record is at a place; they stay in the file.

        Raises:
            ValueError: there is no such file or blob, or it is not what the program declares.
        """
        try:
            content = np.asarray(self._file(name))
        except OSError as error:
            raise ValueError(f"weights {name!r} cannot be read: {error.strerror}") from error
        if place + _ALIGNMENT > len(content):
            raise ValueError(f"weights {name!r} end before the record at {place}")
        sentinel, code, size, start = _RECORD.unpack(
            content[place : place + _RECORD.size].tobytes()
        )
        if sentinel != _SENTINEL or code != number.code or start % _ALIGNMENT:
            raise ValueError(f"weights {name!r} have no record of {number.dtype} at {place}")
        if start + size > len(content):
            raise ValueError(f"weights {name!r} end before the values of the record at {place}")
        return unpack(content[start : start + size], number, shape)
