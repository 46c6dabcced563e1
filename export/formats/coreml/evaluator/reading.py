"""Reads the program of a package: its operations in order, and its constants as numpy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pocketknn.export.formats.coreml.messages import messages
from pocketknn.export.formats.coreml.weights import NUMBERS, Number, Weights, shaped

from .kernels import CONSTEXPR

if TYPE_CHECKING:
    from .arrays import Parameter

Message = Any  # a protobuf message of MIL.proto, which has no stubs

_KINDS = {"bools": "b", "bytes": "iuf", "floats": "f", "ints": "iu"}


@dataclass(frozen=True)
class Declared:
    """The declaration of a value in a program.

    Attributes:
        number: its type; None if it is not a number.
        shape: its axes, None for any length; None if it is not a tensor.
    """

    number: Number | None
    shape: tuple[int | None, ...] | None

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The type in numpy; None if it is not a number."""
        return None if self.number is None else self.number.dtype

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape may be the value."""
        if self.shape is None or self.shape == shape:
            return True
        pairs = zip(self.shape, shape, strict=False)
        return len(self.shape) == len(shape) and all(want in (None, got) for want, got in pairs)

    def lengths(self) -> tuple[int, ...]:
        """The shape of a constant."""
        known = tuple(size for size in self.shape or () if size is not None)
        if self.shape is None or len(known) < len(self.shape):
            raise ValueError("a constant without a shape")
        return known

    def numbers(self) -> Number:
        """The type of a constant of numbers."""
        if self.number is None:
            raise ValueError("numbers whose declared type is not a number")
        return self.number


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An op to compute; its parameters and results are given as names of values."""

    type: str
    name: str
    inputs: Mapping[str, tuple[str, ...]]  # a parameter may have several values, in order
    outputs: Mapping[str, Declared]


@dataclass(frozen=True, kw_only=True)
class Function:
    """A program's main function.

    Attributes:
        inputs: its inputs.
        outputs: its outputs.
        constants: numbers as arrays of their declared type, texts, and lists of both.
        operations: all other operations, each after those it depends on.
    """

    inputs: Mapping[str, Declared]
    outputs: Mapping[str, Declared]
    constants: Mapping[str, Parameter]
    operations: tuple[Operation, ...]


def read(specification: Message, folder: Path) -> Function:
    """Reads an ML program; compressed constants are unpacked, plain ones memory-mapped.

    Args:
        specification: the message `Model`.
        folder: where its weights files are.

    Raises:
        NotImplementedError: there is more than a main function, or it has branches or loops.
        ValueError: the model is not an ML program, or it or its weights are damaged.
    """
    program = specification.mlProgram
    if specification.WhichOneof("Type") != "mlProgram" or program.version != 1:
        raise ValueError("the model is not an ML program")
    if set(program.functions) != {"main"}:
        found = sorted(program.functions)
        raise NotImplementedError(f"functions {found}; only a single 'main' is supported")
    main = program.functions["main"]
    if main.opset not in main.block_specializations:
        raise ValueError(f"the program has no operations for its opset {main.opset!r}")
    block = main.block_specializations[main.opset]
    reader = _Reader(Weights(folder))
    inputs = reader.define(main.inputs)
    operations = tuple(reader.operations(block.operations))
    return Function(
        inputs=inputs,
        outputs={name: reader.declared(name) for name in block.outputs},
        constants=reader.constants,
        operations=operations,
    )


class _Reader:
    """The values known at a point of the program."""

    def __init__(self, weights: Weights) -> None:
        self.constants: dict[str, Parameter] = {}
        self._known: dict[str, Declared] = {}
        self._weights = weights

    def declared(self, name: str) -> Declared:
        if name not in self._known:
            raise ValueError(f"the program uses {name!r} before it is defined")
        return self._known[name]

    def define(self, values: Message) -> dict[str, Declared]:
        found = {value.name: _declared(value.type) for value in values}
        twice = found.keys() & self._known.keys()
        if twice or len(found) < len(values):
            raise ValueError(f"the program has two values with the same name in {[*found]}")
        self._known |= found
        return found

    def operations(self, messages: Message) -> Iterator[Operation]:
        for message in messages:
            label = message.attributes["name"].immediateValue.tensor.strings.values
            name = label[0] if label else ", ".join(value.name for value in message.outputs)
            try:
                inputs = dict(self._inputs(message, name))
                outputs = self.define(message.outputs)
                if message.type == "const" or message.type in CONSTEXPR:
                    self._constant(message.type, inputs, outputs)
                    continue
                if message.blocks:
                    raise NotImplementedError("branches and loops are not supported")
            except (NotImplementedError, ValueError) as error:
                raise type(error)(f"op {name!r} of type {message.type}: {error}") from error
            yield Operation(type=message.type, name=name, inputs=inputs, outputs=outputs)

    def _inputs(self, message: Message, name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The names of each parameter's values; an unnamed value becomes a named constant."""
        for parameter, value in message.attributes.items():
            if parameter != "name":
                yield parameter, (self._immediate(f"{name}:{parameter}", value),)
        for parameter, argument in message.inputs.items():
            names = []
            for place, binding in enumerate(argument.arguments):
                if binding.WhichOneof("binding") == "value":
                    made = f"{name}:{parameter}:{place}"  # no name in a program has a colon
                    names.append(self._immediate(made, binding.value))
                else:
                    self.declared(binding.name)
                    names.append(binding.name)
            yield parameter, tuple(names)

    def _immediate(self, name: str, value: Message) -> str:
        self.constants[name] = self._value(value)
        return name

    def _constant(
        self, op: str, inputs: Mapping[str, tuple[str, ...]], outputs: Mapping[str, Declared]
    ) -> None:
        try:
            given = {key: self.constants[name] for key, (name,) in inputs.items()}
            ((output, declared),) = outputs.items()
            found = given["val"] if op == "const" else CONSTEXPR[op](**given)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f"it is not a constant: {error!r}") from error
        if isinstance(found, np.ndarray) and not declared.fits(found.shape):
            raise ValueError(f"its shape is {found.shape}, but {declared.shape} is declared")
        self.constants[output] = found

    def _value(self, value: Message) -> Parameter:
        declared = _declared(value.type)
        if value.WhichOneof("value") == "blobFileValue":
            return self._weights.read(value.blobFileValue, declared.numbers(), declared.lengths())
        match value.immediateValue.WhichOneof("value"):
            case "tensor":
                return _tensor(value.immediateValue.tensor, declared)
            case "list":
                return [self._value(each) for each in value.immediateValue.list.values]
            case other:
                raise NotImplementedError(f"a constant that is a {other}")


def _tensor(tensor: Message, declared: Declared) -> Parameter:
    field = tensor.WhichOneof("value")
    if field is None:
        raise ValueError("a tensor without a value")
    values = getattr(tensor, field).values
    if field == "strings":
        texts = np.array(values, np.str_).reshape(declared.lengths())
        return texts if texts.ndim else texts.item()
    number, shape = declared.numbers(), declared.lengths()
    if number.dtype.kind not in _KINDS[field]:
        raise ValueError(f"a tensor of {number.dtype} as {field}")
    if field == "bytes":
        return shaped(np.frombuffer(values, np.uint8), number, shape)
    try:
        return np.array(values, number.dtype).reshape(shape)
    except OverflowError as error:
        raise ValueError(f"a tensor of {number.dtype}: {error}") from error


def _declared(value: Message) -> Declared:
    if value.WhichOneof("type") != "tensorType":
        return Declared(None, None)
    tensor = value.tensorType
    if tensor.rank != len(tensor.dimensions):
        raise ValueError(f"a tensor of rank {tensor.rank} with {len(tensor.dimensions)} axes")
    names = {kind.value: kind.name for kind in messages().DataType}
    name = names.get(tensor.dataType, f"type {tensor.dataType}")
    if name != "STRING" and name not in NUMBERS:
        raise NotImplementedError(f"a tensor of {name}")
    fixed = (
        axis.constant.size if axis.HasField("constant") else None for axis in tensor.dimensions
    )
    return Declared(NUMBERS.get(name), tuple(fixed))
