"""A TFLite model to be edited: its tensors, the order of its outputs, and its metadata.

The tables are those of the schema that comes with LiteRT.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.export.output import checksums

from .packing import ALIGNMENT, packed, pointer

FLOAT32, FLOAT16, INT32, INT64, INT8 = 0, 1, 2, 4, 9  # of TensorType
_DTYPES = {FLOAT32: "<f4", FLOAT16: "<f2", INT32: "<i4", INT64: "<i8", INT8: "i1"}


@dataclass(frozen=True, kw_only=True)
class Port:
    """A tensor that is an input or an output.

    Attributes:
        name: its name in the signature; the tensor's own name is meaningless.
        shape: its shape, with a batch of 1.
        tensor: its number.
    """

    name: str
    shape: tuple[int, ...]
    tensor: int


@dataclass(frozen=True, kw_only=True)
class Signature:
    """Inputs and outputs by position, which is unrelated to the order of their names."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def ordered(self, names: Sequence[str]) -> Signature:
        """Inputs and outputs in the order of `names`, others last."""
        places = {name: place for place, name in enumerate(names)}

        def place(port: Port) -> tuple[int, str]:
            return places.get(port.name, len(names)), port.name

        inputs, outputs = (tuple(sorted(ports, key=place)) for ports in (self.inputs, self.outputs))
        return Signature(inputs=inputs, outputs=outputs)


class Model:
    """A model with one signature over one subgraph, to be changed and written again.

    Attributes:
        tree: the tables as objects, of the schema's class `ModelT`.
        graph: the only subgraph.
    """

    def __init__(self, content: Any) -> None:  # noqa: ANN401  # bytes, or a map of a file
        """Read a model.

        Raises:
            ValueError: it has more than one subgraph or signature.
        """
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self.tree = schema.ModelT.InitFromPackedBuf(content, 0)
        if (len(self.tree.subgraphs), len(self.tree.signatureDefs or ())) != (1, 1):
            raise ValueError("the model must have one subgraph and one signature")
        (self.graph,) = self.tree.subgraphs

    def signature(self) -> Signature:
        """The inputs and outputs.

        Raises:
            ValueError: the signature does not name every output.
        """
        (named,) = self.tree.signatureDefs
        return Signature(
            inputs=self._ports(self.graph.inputs, named.inputs),
            outputs=self._ports(self.graph.outputs, named.outputs),
        )

    def reorder(self, ports: Signature) -> None:
        """Reorder inputs and outputs; signatures refer to tensors, not to positions."""
        self.graph.inputs = np.array([port.tensor for port in ports.inputs], np.int32)
        self.graph.outputs = np.array([port.tensor for port in ports.outputs], np.int32)

    def constants(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """The number and the values of each constant tensor."""
        for number in range(len(self.graph.tensors)):
            if (values := self.constant(number)) is not None:
                yield number, values

    def constant(self, tensor: int) -> NDArray[Any] | None:
        """The values of a tensor, flat; None if they are computed or of an unknown type."""
        described = self.graph.tensors[tensor]
        data = self.tree.buffers[described.buffer].data
        if data is None or described.type not in _DTYPES:
            return None
        return np.frombuffer(data, _DTYPES[described.type])

    def set_constant(self, tensor: int, values: NDArray[Any]) -> None:
        """Replace the values of a constant tensor, cast to its type."""
        described = self.graph.tensors[tensor]
        data = np.ascontiguousarray(values, _DTYPES[described.type])
        self.tree.buffers[described.buffer].data = data.reshape(-1).view(np.uint8)

    def kind(self, operator: Any) -> int:  # noqa: ANN401
        """Which of the schema's `BuiltinOperator` an operator is."""
        code = self.tree.operatorCodes[operator.opcodeIndex]
        return int(max(code.builtinCode, code.deprecatedBuiltinCode))

    def code(self, kind: int, version: int) -> int:
        """The number of an operator code, which is added if missing."""
        codes = self.tree.operatorCodes
        for number, one in enumerate(codes):
            if (one.builtinCode, one.version) == (kind, version):
                return number
        added = self._schema.OperatorCodeT()
        added.builtinCode, added.version = kind, version
        added.deprecatedBuiltinCode = min(kind, 127)
        codes.append(added)
        return len(codes) - 1

    def operator(
        self, kind: int, version: int, inputs: Sequence[int], outputs: Sequence[int]
    ) -> Any:  # noqa: ANN401
        """A new operator over tensors, not yet added to the graph."""
        made = self._schema.OperatorT()
        made.opcodeIndex = self.code(kind, version)
        made.inputs, made.outputs = list(inputs), list(outputs)
        return made

    def add_tensor(
        self,
        name: str | bytes,
        shape: NDArray[Any],
        kind: int,
        values: NDArray[Any] | None = None,
    ) -> int:
        """Add a tensor, either computed or with `values`; returns its number."""
        tensor = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, shape, kind
        tensor.buffer = 0 if values is None else self._add_buffer(values)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def set_axis(self, tensor: int, axis: int, size: int) -> None:
        """Change the shape of a tensor."""
        shape = np.array(self.graph.tensors[tensor].shape)
        shape[axis] = size
        self.graph.tensors[tensor].shape = shape

    def set_value(self, tensor: int, place: int, value: int) -> None:
        """Change one number of a constant."""
        values = self.constant(tensor)
        assert values is not None  # `locate` found it
        self.set_constant(tensor, np.r_[values[:place], value, values[place + 1 :]])

    def set_metadata(self, name: str, block: bytes) -> None:
        """Add a named block of metadata to the model, or replace the one of that name."""
        data = np.frombuffer(block, np.uint8)
        entries = self.tree.metadata or []
        for entry in entries:
            if entry.name == name.encode():
                self.tree.buffers[entry.buffer].data = data
                return
        entry = self._schema.MetadataT()
        entry.name, entry.buffer = name, self._add_buffer(data)
        self.tree.metadata = [*entries, entry]

    def drop_unused_buffers(self) -> None:
        """Remove buffers that neither tensors nor metadata use; the first must stay."""
        users = (*self.graph.tensors, *(self.tree.metadata or ()))
        kept = sorted({0, *(user.buffer for user in users)})
        place = {old: new for new, old in enumerate(kept)}
        self.tree.buffers = [self.tree.buffers[old] for old in kept]
        for user in users:
            user.buffer = place[user.buffer]

    def write(self, path: Path, streamed: Mapping[int, NDArray[Any]]) -> str:
        """Write the model to a file.

        A flatbuffer's pointers are relative and only point forward. So large constants can follow
        everything else, written directly from memory without a copy.

        Args:
            path: the file.
            streamed: values of tensors, by number, that come last in the file.

        Returns:
            sha256 of the file.
        """
        places = {self.graph.tensors[tensor].buffer: values for tensor, values in streamed.items()}
        for number in places:
            self.tree.buffers[number].data = np.zeros(1, np.uint8)  # so that it has a pointer
        tables = packed(self.tree)
        digest, end = hashlib.sha256(), len(tables)
        tail: list[tuple[bytes, NDArray[Any]]] = []
        for number, values in places.items():
            start = (
                -(-(end + 4) // ALIGNMENT) * ALIGNMENT - 4
            )  # position of the length, before the data
            place = pointer(tables, number)
            struct.pack_into("<I", tables, place, start - place)
            tail.append((bytes(start - end) + struct.pack("<I", values.nbytes), values))
            end = start + 4 + values.nbytes
        with path.open("wb") as file:
            for part in (tables, *(piece for pair in tail for piece in pair)):
                checksums.write(file, part, digest)
        return digest.hexdigest()

    def _add_buffer(self, values: NDArray[Any]) -> int:
        buffer = self._schema.BufferT()
        buffer.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        self.tree.buffers.append(buffer)
        return len(self.tree.buffers) - 1

    def _ports(self, places: Sequence[int], named: Sequence[Any]) -> tuple[Port, ...]:
        """The ports at these tensors; one tensor may have two names."""
        left = [(one.tensorIndex, one.name.decode()) for one in named]
        ports = []
        for place in places:
            pair = next((pair for pair in left if pair[0] == place), None)
            if pair is None:
                raise ValueError(f"the signature does not name tensor {place}")
            left.remove(pair)
            shape = tuple(int(size) for size in self.graph.tensors[place].shape)
            ports.append(Port(name=pair[1], shape=shape, tensor=int(place)))
        return tuple(ports)
