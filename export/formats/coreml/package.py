"""A Core ML package to be edited: a program, and the file of its weights."""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.system.atomic_file import replacing
from pocketknn.builder.system.untrusted_json import parse_json
from pocketknn.export.output import checksums

from .files import MODEL, WEIGHTS, specification
from .weights import CODES, NUMBERS, Weights, laid_out

if TYPE_CHECKING:
    from pocketknn.export.formats.storage.slots import Place

_TABLES = {NUMBERS[name].code: NUMBERS[name].dtype for name in ("FLOAT16", "FLOAT32", "INT8")}
BEFORE = -1  # stands for the inputs, as if for the number of an operation
_NUMBERS = {code: dtype for dtype, code in CODES.items()}
_IMMEDIATE = {"floats": np.float32, "ints": np.int32}


class Package:
    """A package with an ML program, to be edited and written again.

    Attributes:
        model: the protobuf message `Model`.
        function: its only function.
        block: the operations of that function.
    """

    def __init__(self, path: Path) -> None:
        """Read a package; its weights stay in their file."""
        self.path = path
        self.model = specification(path)
        (self.function,) = self.model.mlProgram.functions.values()
        (self.block,) = self.function.block_specializations.values()
        self._weights = Weights((path / "Data" / WEIGHTS).parent)
        self._changed: dict[int, NDArray[Any]] = {}

    def constants(self) -> Iterator[tuple[Place, Any]]:
        """The place and the message of each value, in the order of the operations.

        A place is an operation's number, then "attribute" and its name, or "input", its name and
        the position of the value.
        """
        for number, operation in enumerate(self.block.operations):
            for name in sorted(operation.attributes):
                yield [number, "attribute", name], operation.attributes[name]
            for name in sorted(operation.inputs):
                for at, given in enumerate(operation.inputs[name].arguments):
                    if given.WhichOneof("binding") == "value":
                        yield [number, "input", name, at], given.value

    def value(self, place: Place) -> Any:  # noqa: ANN401
        """The message at a place from `constants`."""
        operation = self.block.operations[place[0]]
        if place[1] == "attribute":
            return operation.attributes[place[2]]
        return operation.inputs[place[2]].arguments[place[3]].value

    def array(self, value: Any) -> NDArray[Any] | None:  # noqa: ANN401
        """The numbers of a value, flat; None if it holds none."""
        if value.WhichOneof("value") == "blobFileValue":
            code, content = self._weights.blob(value.blobFileValue)
            return content.view(_TABLES[code]) if code in _TABLES else None
        tensor = value.immediateValue.tensor
        kind = tensor.WhichOneof("value")
        if kind not in _IMMEDIATE:
            return None
        return np.array(getattr(tensor, kind).values, _IMMEDIATE[kind])

    def set_array(self, place: Place, values: NDArray[Any]) -> None:
        """Replace the numbers of a constant, keeping its type; files change only in `write`."""
        value = self.value(place)
        self._set_shape(place, values.shape)
        if value.WhichOneof("value") == "blobFileValue":
            self._changed[value.blobFileValue.offset] = values
            return
        tensor = value.immediateValue.tensor
        kind = tensor.WhichOneof("value")
        whole = values.astype(_IMMEDIATE[kind]).ravel().tolist()
        getattr(tensor, kind).values[:] = whole

    def replace(self, value: Any, numbers: NDArray[Any]) -> None:  # noqa: ANN401
        """Replace the numbers of a constant in the weights file, possibly with another type."""
        self._changed[value.blobFileValue.offset] = numbers

    def set_size(self, place: Place, size: int) -> None:
        """Change one axis of an input or of an operation's output, or one number of a constant."""
        if place[0] == BEFORE:
            _, _, at, axis = place
            self.function.inputs[at].type.tensorType.dimensions[axis].constant.size = size
            named = {one.name: one for one in self.model.description.input}
            named[self.function.inputs[at].name].type.multiArrayType.shape[axis] = size
            return
        if place[1] == "axis":
            output = self.block.operations[place[0]].outputs[place[2]]
            output.type.tensorType.dimensions[place[3]].constant.size = size
            return
        *where, _, at = place
        tensor = self.value(where).immediateValue.tensor
        getattr(tensor, tensor.WhichOneof("value")).values[at] = size

    def set_classes(self, labels: Sequence[str]) -> None:
        """Change the class names of a classifier."""
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

    def put_before(self, other: Package) -> int:
        """Insert the operations of another package, with their weights, before all others.

        Returns:
            How many were inserted.
        """
        own = [*self.block.operations]
        end = 1 + max((value.blobFileValue.offset for _, value in self.constants()), default=0)
        for _, value in other.constants():
            if value.WhichOneof("value") == "blobFileValue":
                code, content = other._blob(value.blobFileValue)
                value.blobFileValue.offset += end  # a key, until `write` lays the weights out
                self._changed[value.blobFileValue.offset] = content.view(_NUMBERS[code])
        del self.block.operations[:]
        self.block.operations.extend([*other.block.operations, *own])
        return len(other.block.operations)

    def write(self, path: Path) -> str:
        """Write the weights and the program to a new package.

        Returns:
            sha256 of both.
        """
        for file in (MODEL, WEIGHTS):
            (path / "Data" / file).parent.mkdir(parents=True, exist_ok=True)
        listed = (self.path / "Manifest.json").read_text("utf-8")
        (path / "Manifest.json").write_text(_canonical(listed), "utf-8", newline="")
        values = [value for _, value in self.constants()]
        held = [one.blobFileValue for one in values if one.WhichOneof("value") == "blobFileValue"]
        blobs = {one.offset: self._blob(one) for one in held}
        places, parts = laid_out(blobs.values())
        moved = dict(zip(blobs, places, strict=True))
        for one in held:
            one.offset = moved[one.offset]
        digest = hashlib.sha256(self.model.mlProgram.SerializeToString(deterministic=True))
        if blobs:
            with (path / "Data" / WEIGHTS).open("wb") as written:
                for part in parts:
                    checksums.write(written, part, digest)
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write the specification of the package, with its current metadata."""
        content = self.model.SerializeToString(deterministic=True)
        (path / "Data" / MODEL).write_bytes(content)

    def rewrite(self) -> None:
        """Replace the original package with the edited one."""
        with replacing(self.path) as made:
            self.write(made)
            self.save(made)
            self._weights.release()
            self._changed.clear()  # they may be views of the released files

    def _blob(self, value: Any) -> tuple[int, NDArray[Any]]:  # noqa: ANN401
        """Type code and values of a constant in the weights file."""
        if (values := self._changed.get(value.offset)) is not None:
            return CODES[values.dtype], values
        return self._weights.blob(value)

    def _set_shape(self, place: Place, shape: Sequence[int]) -> None:
        """Change the shape of a constant, unless it already has as many values."""
        operation, value = self.block.operations[place[0]], self.value(place)
        described = [value.type, *(out.type for out in operation.outputs if place[1] != "input")]
        for kind in described:
            sizes = kind.tensorType.dimensions
            stored = [size.constant.size for size in sizes]
            if math.prod(stored) == math.prod(shape):
                continue
            wanted = [1] * (len(sizes) - len(shape)) + [*shape]
            if max(stored) == math.prod(stored) and max(shape) == math.prod(shape):
                # A matrix of one row or column, which may be stored either way.
                wanted = [1 if one == 1 else max(shape) for one in stored]
            for size, new in zip(sizes, wanted, strict=True):
                size.constant.size = new


def _canonical(manifest: str) -> str:
    """A package's manifest, with items named after their paths instead of at random."""
    listed = parse_json(manifest)
    items, root = listed["itemInfoEntries"], listed["rootModelIdentifier"]
    ids = {old: str(uuid.uuid5(uuid.NAMESPACE_URL, item["path"])) for old, item in items.items()}
    listed["rootModelIdentifier"] = ids[root]
    listed["itemInfoEntries"] = {ids[old]: items[old] for old in sorted(ids, key=ids.__getitem__)}
    return json.dumps(listed, indent=4) + "\n"
