"""A Core ML package as it lies in a folder: a program, and the file of its weights.

The weights file is a header of 64 bytes, and a record of 64 bytes before the data of each constant:
MILBlob's StorageFormat.hpp in https://github.com/apple/coremltools.
"""

from __future__ import annotations

import hashlib
import math
import re
import shutil
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.export.formats import protobuf_fields
from pocketknn.export.formats.coreml.evaluator.package import root, specification
from pocketknn.export.output import checksums
from pocketknn.export.templates.slots import Place

_MODEL, _WEIGHTS = "com.apple.CoreML/model.mlmodel", "com.apple.CoreML/weights/weight.bin"
_PROGRAM = 502  # of Model in Model.proto
_ALIGNMENT = 64
_HEADER, _RECORD = struct.Struct("<II56x"), struct.Struct("<IIQQ40x")
_VERSION, _SENTINEL = 2, 0xDEADBEEF
_FLOAT32 = 2  # of MILBlob's BlobDataType
_DTYPES = {1: "<f2", _FLOAT32: "<f4", 4: "i1"}
_KINDS = {np.dtype(dtype): kind for kind, dtype in _DTYPES.items()}
_IMMEDIATE = {"floats": np.float32, "ints": np.int32, "longInts": np.int64}


class Constant(NamedTuple):
    """A value in the program.

    Attributes:
        place: number of the operation, whether it is an attribute or an input, and which.
        value: the protobuf message.
    """

    place: Place
    value: Any


class Package:
    """A package with an ML program, to be changed and written again.

    Attributes:
        model: the protobuf message `Model`.
        block: the operations of its one function.
    """

    def __init__(self, path: Path) -> None:
        """Read a package; its weights stay in their file."""
        self.path = path
        self.model = specification(path)
        (function,) = self.model.mlProgram.functions.values()
        (self.block,) = function.block_specializations.values()
        weights = path / "Data" / _WEIGHTS
        there = weights.exists() and weights.stat().st_size
        self._weights = np.memmap(weights, np.uint8, "r") if there else np.zeros(0, np.uint8)
        self._changed: dict[int, NDArray[Any]] = {}

    def release(self) -> None:
        """Let go of the file of weights, which Windows removes for nobody who has it open."""
        self._weights = np.zeros(0, np.uint8)
        self._changed.clear()

    def constants(self) -> Iterator[Constant]:
        """All values, in the order of the operations."""
        for number, operation in enumerate(self.block.operations):
            for name in sorted(operation.attributes):
                yield Constant([number, "attribute", name], operation.attributes[name])
            for name in sorted(operation.inputs):
                for at, given in enumerate(operation.inputs[name].arguments):
                    if given.WhichOneof("binding") == "value":
                        yield Constant([number, "input", name, at], given.value)

    def value(self, place: Place) -> Any:  # noqa: ANN401
        """The message in a place that `constants` gave."""
        operation = self.block.operations[place[0]]
        if place[1] == "attribute":
            return operation.attributes[place[2]]
        return operation.inputs[place[2]].arguments[place[3]].value

    def array(self, value: Any) -> NDArray[Any] | None:  # noqa: ANN401
        """The numbers of a value, flat; None where it holds none."""
        if value.WhichOneof("value") == "blobFileValue":
            kind, size, start = self._record(value.blobFileValue.offset)
            if kind not in _DTYPES:
                return None
            return np.frombuffer(self._weights, np.uint8, size, start).view(_DTYPES[kind])
        tensor = value.immediateValue.tensor
        kind = tensor.WhichOneof("value")
        if kind not in _IMMEDIATE:
            return None
        return np.array(getattr(tensor, kind).values, _IMMEDIATE[kind])

    def set_array(self, place: Place, values: NDArray[Any]) -> None:
        """Give a constant other numbers, of its own type; weights are written by `write`."""
        value = self.value(place)
        if value.WhichOneof("value") == "blobFileValue":
            self._changed[value.blobFileValue.offset] = values
            self._set_shape(place, values.shape)
            return
        tensor = value.immediateValue.tensor
        kind = tensor.WhichOneof("value")
        whole = values.astype(_IMMEDIATE[kind]).ravel().tolist()
        getattr(tensor, kind).values[:] = whole

    def replace(self, value: Any, numbers: NDArray[Any]) -> None:  # noqa: ANN401
        """Give a constant in the file of weights other numbers, of any type that it may hold."""
        self._changed[value.blobFileValue.offset] = numbers

    def set_size(self, place: Place, size: int) -> None:
        """Change an axis of what an operation gives, or one number of a constant."""
        if place[1] == "axis":
            output = self.block.operations[place[0]].outputs[place[2]]
            output.type.tensorType.dimensions[place[3]].constant.size = size
            return
        *where, _, at = place
        tensor = self.value(where).immediateValue.tensor
        getattr(tensor, tensor.WhichOneof("value")).values[at] = size

    def set_classes(self, labels: Sequence[str]) -> None:
        """Change what a classifier calls its classes."""
        (operation,) = (one for one in self.block.operations if one.type == "classify")
        value = operation.inputs["classes"].arguments[0].value
        value.type.listType.length.constant.size = len(labels)
        listed = value.immediateValue.list.values
        example = type(listed[0])()
        example.CopyFrom(listed[0])
        del listed[:]
        for label in labels:
            example.immediateValue.tensor.strings.values[:] = [label]
            listed.append(example)

    def rows_first(self, name: re.Pattern[str]) -> None:
        """Multiply by a table of rows where its columns are stored, and store it once.

        Args:
            name: how the names of the constants begin that this is about.
        """
        block = self.block
        of_name = {op.outputs[0].name: op for op in block.operations if op.type == "const"}
        tables = {
            called: values
            for called, op in of_name.items()
            if name.match(called)
            and len(op.outputs[0].type.tensorType.dimensions) == 2
            and (values := self.array(op.attributes["val"])) is not None
        }
        for product in [op for op in block.operations if op.type == "matmul"]:
            (given,) = product.inputs["y"].arguments
            if given.name not in tables:
                continue
            table = of_name[given.name]
            axes = [one.constant.size for one in table.outputs[0].type.tensorType.dimensions]
            rows = tables[given.name].reshape(axes).T
            others = (one for one in tables if one != given.name)
            twins = [one for one in others if np.array_equal(tables[one], rows.ravel())]
            if twins:
                given.name = twins[0]
                block.operations.remove(table)
            else:
                self._changed[table.attributes["val"].blobFileValue.offset] = rows
                for kind in (table.outputs[0].type, table.attributes["val"].type):
                    for axis, size in zip(kind.tensorType.dimensions, rows.shape, strict=True):
                        axis.constant.size = size
            (how,) = product.inputs["transpose_y"].arguments
            turned = type(product)()
            turned.CopyFrom(of_name[how.name])
            turned.outputs[0].name = turned.attributes["name"].immediateValue.tensor.strings.values[
                0
            ] = f"{given.name}_by_rows"
            turned.attributes["val"].immediateValue.tensor.bools.values[:] = [True]
            how.name = turned.outputs[0].name
            block.operations.insert(0, turned)

    def write(self, path: Path) -> str:
        """Write the weights and the program to a package that is not there yet.

        Returns:
            sha256 of both.
        """
        for folder in (path / "Data" / _MODEL, path / "Data" / _WEIGHTS):
            folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.path / "Manifest.json", path / "Manifest.json")
        moved: dict[int, int] = {}
        parts: list[Any] = []
        end = _HEADER.size
        values = [constant.value for constant in self.constants()]
        for value in values:
            if value.WhichOneof("value") != "blobFileValue":
                continue
            old = value.blobFileValue.offset
            if old not in moved:
                kind, size, start = self._record(old)
                data = self._weights[start : start + size]
                if old in self._changed:
                    data = self._changed[old]
                    kind = _KINDS[data.dtype]
                moved[old] = end
                record = _RECORD.pack(_SENTINEL, kind, data.nbytes, end + _RECORD.size)
                parts += [record, data, bytes(-data.nbytes % _ALIGNMENT)]
                end += _RECORD.size + data.nbytes + len(parts[-1])
            value.blobFileValue.offset = moved[old]
        digest = hashlib.sha256(self.model.mlProgram.SerializeToString(deterministic=True))
        if moved:
            with (path / "Data" / _WEIGHTS).open("wb") as file:
                for part in (_HEADER.pack(len(moved), _VERSION), *parts):
                    checksums.write(file, part, digest)
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write the specification of the package, with the metadata that it has by now."""
        content = self.model.SerializeToString(deterministic=True)
        (path / "Data" / _MODEL).write_bytes(content)

    def _set_shape(self, place: Place, shape: Sequence[int]) -> None:
        """Change the shape of a constant where it is not the same numbers in another shape."""
        operation, value = self.block.operations[place[0]], self.value(place)
        described = [value.type, *(out.type for out in operation.outputs if place[1] != "input")]
        for kind in described:
            sizes = kind.tensorType.dimensions
            if math.prod(size.constant.size for size in sizes) != math.prod(shape):
                ones = [1] * (len(sizes) - len(shape))
                for size, wanted in zip(sizes, [*ones, *shape], strict=True):
                    size.constant.size = wanted

    def _record(self, offset: int) -> tuple[int, int, int]:
        """Type, bytes and start of a constant in the file of weights."""
        sentinel, kind, size, start = _RECORD.unpack(
            self._weights[offset : offset + _RECORD.size].tobytes()
        )
        if sentinel != _SENTINEL:
            raise ValueError("the weights do not lie where the program looks for them")
        return kind, size, start


def sealed(path: Path) -> str:
    """sha256 of a package's program and weights: of all that runs."""
    model = root(path)
    digest = hashlib.sha256()
    with model.open("rb") as file:
        for one in protobuf_fields.fields(file, 0, model.stat().st_size):
            if one.number == _PROGRAM:
                for block in checksums.blocks(model, one.start, one.end):
                    digest.update(block)
    weights = path / "Data" / _WEIGHTS
    for block in checksums.blocks(weights) if weights.exists() else ():
        digest.update(block)
    return digest.hexdigest()
