"""Read the weights files of a package, memory-mapped, and lay out new ones.

It has a header of 64 bytes, then blobs: each has a record of 64 bytes, which a program refers to,
and its values, both aligned to 64 bytes. The format is public:
https://github.com/apple/coremltools/blob/main/mlmodel/src/MILBlob/Blob/StorageFormat.hpp
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_VERSION, _SENTINEL, _ALIGNMENT = 2, 0xDEADBEEF, 64
_HEADER = struct.Struct("<II56x")  # number of blobs, version
_RECORD = struct.Struct("<IIQQ40x")  # sentinel, code of the type, size and place of the values


class Number(NamedTuple):
    """How numbers of a type are stored.

    Attributes:
        dtype: the type in numpy.
        code: its code in weights files; None if they cannot hold it.
    """

    dtype: np.dtype[Any]
    code: int | None


NUMBERS: Mapping[str, Number] = {  # by their names in MIL.proto
    "BOOL": Number(np.dtype("?"), None),
    "FLOAT16": Number(np.dtype("<f2"), 1),
    "FLOAT32": Number(np.dtype("<f4"), 2),
    "INT8": Number(np.dtype("i1"), 4),
    "INT16": Number(np.dtype("<i2"), 6),
    "INT32": Number(np.dtype("<i4"), 14),
    "UINT8": Number(np.dtype("u1"), 3),
    "UINT16": Number(np.dtype("<u2"), 7),
}
CODES = {number.dtype: number.code for number in NUMBERS.values() if number.code}


def shaped(content: NDArray[Any], number: Number, shape: tuple[int, ...]) -> NDArray[Any]:
    """View bytes (n,) as numbers of a type in a shape, without copying.

    Raises:
        ValueError: the number of bytes does not match.
    """
    if len(content) != math.prod(shape) * number.dtype.itemsize:
        raise ValueError(f"{len(content)} bytes, but {number.dtype} of shape {shape} is declared")
    return content.view(number.dtype).reshape(shape)


class Weights:
    """The weights files of a folder, by name; each stays open after its first use."""

    def __init__(self, folder: Path) -> None:
        self._file = cache(lambda name: np.memmap(folder / name, np.uint8, "r"))

    def blob(self, value: Any) -> tuple[int, NDArray[Any]]:  # noqa: ANN401  # messages have no stubs
        """Type code and bytes (n,) of the values that a message `BlobFileValue` refers to.

        Raises:
            ValueError: there is no such file or blob.
        """
        name, place = PurePosixPath(value.fileName).name, value.offset
        try:
            content = np.asarray(self._file(name))
        except OSError as error:
            raise ValueError(f"weights {name!r} cannot be read: {error.strerror}") from error
        if place + _RECORD.size > len(content):
            raise ValueError(f"weights {name!r} end before the record at {place}")
        sentinel, code, size, start = _RECORD.unpack(
            content[place : place + _RECORD.size].tobytes()
        )
        if sentinel != _SENTINEL or start % _ALIGNMENT:
            raise ValueError(f"weights {name!r} have no record at {place}")
        if start + size > len(content):
            raise ValueError(f"weights {name!r} end before the values of the record at {place}")
        return code, content[start : start + size]

    def read(self, value: Any, number: Number, shape: tuple[int, ...]) -> NDArray[Any]:  # noqa: ANN401
        """The values that a message `BlobFileValue` refers to, memory-mapped.

        Raises:
            ValueError: there is no such file or blob, or it differs from the declaration.
        """
        code, content = self.blob(value)
        if code != number.code:
            name = PurePosixPath(value.fileName).name
            raise ValueError(f"weights {name!r} have no {number.dtype} at {value.offset}")
        return shaped(content, number, shape)

    def release(self) -> None:
        """Close the files, as Windows cannot remove open ones."""
        self._file.cache_clear()


def laid_out(blobs: Iterable[tuple[int, NDArray[Any]]]) -> tuple[list[int], list[Any]]:
    """The positions of the blobs' records, and the file that holds them, in pieces.

    Args:
        blobs: type codes and values.
    """
    end, places, parts = _HEADER.size, [], []
    for code, values in blobs:
        places.append(end)
        spare = bytes(-values.nbytes % _ALIGNMENT)
        record = _RECORD.pack(_SENTINEL, code, values.nbytes, end + _RECORD.size)
        parts += [record, values, spare]
        end += _RECORD.size + values.nbytes + len(spare)
    return places, [_HEADER.pack(len(places), _VERSION), *parts]
