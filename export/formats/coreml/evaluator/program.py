"""Executes a saved Core ML program off the Mac, op by op, in numpy.

coremltools writes programs on any machine but runs them only on macOS. Here the .mlpackage is read
back from disk, the interface from its spec and the ops from its MIL program, so anything lost in
saving shows up. Differences of an ANE or GPU (accumulation, subnormals, ties) are not modelled:
float16 ops are computed in float32 and rounded once, to their declared type.
"""

import inspect
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pocketknn.export.formats.coreml.files import root, specification
from pocketknn.export.formats.coreml.messages import messages

from .arrays import Array, Kernel, Parameter, in_order, settle, settle_relu6
from .kernels import ANY_ORDER, KEEPING, KERNELS
from .reading import Declared, Function, Message, Operation, read

Output = Array | str | dict[str, float]
_SEVERAL = "values"  # the tuple of concat, einsum and stack; no other parameter is a tuple


@dataclass(frozen=True, kw_only=True)
class _Feed:
    """An input as the interface declares it; an axis of any length is None."""

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    colour: str | None  # RGB, BGR or GRAYSCALE of an image; None for an array
    default: Array | None = None  # its value if it is not given; None if it must be

    def read(self, name: str, value: Array) -> Array:
        wanted = self.shape
        if self.colour:  # the program's (1, c, h, w), but pictures come as (1, h, w, c)
            wanted = (wanted[0], *wanted[2:], wanted[1])
        pairs = zip(wanted, value.shape, strict=False)
        if len(wanted) != value.ndim or any(want not in (None, got) for want, got in pairs):
            raise ValueError(f"input {name!r} takes shape {wanted}, got {value.shape}")
        if self.colour is None:
            return value
        if not (value.min() >= 0 and value.max() <= 255):
            seen = f"{value.min()}..{value.max()}"
            raise ValueError(f"input {name!r} takes pixels 0..255, got {seen}")
        return np.moveaxis(value[..., ::-1] if self.colour == "BGR" else value, -1, 1)


@dataclass(frozen=True, kw_only=True)
class _Step:
    op: Operation
    kernel: Kernel
    rounded: bool  # the results need no rounding
    relu6: bool = False  # of the results, which the kernel made for nothing else
    spent: tuple[str, ...] = ()  # values that no later step reads

    def run(self, memory: dict[str, Any], exact: bool) -> None:
        given = {}
        for parameter, names in self.op.inputs.items():
            values = tuple(memory[name] for name in names)
            if self.op.type not in ANY_ORDER:
                values = tuple(map(in_order, values))
            given[parameter] = values if parameter == _SEVERAL else values[0]
        try:
            results = self.kernel(**given)
            results = results if isinstance(results, tuple) else (results,)
            for (name, declared), result in zip(self.op.outputs.items(), results, strict=True):
                memory[name] = self._settled(result, declared, exact)
        except (IndexError, NotImplementedError, ValueError) as error:
            raise type(error)(f"op {self.op.name!r} of type {self.op.type}: {error}") from error
        for name in self.spent:
            memory.pop(name, None)

    def _settled(self, result: Any, declared: Declared, exact: bool) -> Any:  # noqa: ANN401  # a text too
        if declared.dtype is None:
            return result
        if self.relu6:
            found = settle_relu6(result, declared.dtype, exact)
        else:
            found = np.asarray(result) if self.rounded else settle(result, declared.dtype, exact)
        if not declared.fits(found.shape):
            raise ValueError(f"a result of {found.shape} is declared as {declared.shape}")
        return found

    def reads(self) -> set[str]:
        return {name for names in self.op.inputs.values() for name in names}


@dataclass(frozen=True, kw_only=True)
class Program:
    """A loaded program: `program({"image": pixels})` returns its outputs by name.

    An image input takes pixels 0..255, (1, h, w, 3) in RGB or (1, h, w, 1) in grey, whatever layout
    and colour order the program uses internally; any other input takes the array it declares.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    exact: bool
    _feeds: Mapping[str, _Feed]
    _steps: tuple[_Step, ...]
    _constants: Mapping[str, Any]
    _results: Mapping[str, np.dtype[Any] | None]

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Output]:
        """Runs the program once.

        Args:
            feeds: one array per input.

        Returns:
            One value per output: an array of its declared type (float64 if `exact`); for a
            classifier also the label and the probability of each label.

        Raises:
            ValueError: an input is unknown, is missing although it is not optional, has the wrong
                shape, or has pixels outside 0..255.
            IndexError: the program gathers outside a tensor, which is undefined on the device.
        """
        optional = {n: one.default for n, one in self._feeds.items() if one.default is not None}
        if not set(self.inputs) - set(optional) <= set(feeds) <= set(self.inputs):
            raise ValueError(f"inputs are {sorted(self.inputs)}, got {sorted(feeds)}")
        feeds = optional | dict(feeds)
        memory = dict(self._constants)
        with np.errstate(all="ignore"):  # overflow and NaN are results here, as on the device
            for name, feed in self._feeds.items():
                value = feed.read(name, np.asarray(feeds[name]))
                memory[name] = settle(value, feed.dtype, self.exact)
            for step in self._steps:
                step.run(memory, self.exact)
        found = {}
        for name, dtype in self._results.items():
            whole = dtype is None or (self.exact and dtype.kind == "f")
            found[name] = memory[name] if whole else memory[name].astype(dtype)
        return found


def load(path: Path, *, exact: bool = False) -> Program:
    """Reads a saved ML program; weights are unpacked and constant parts computed only once, here.

    Float32 weights are memory-mapped, so their file must not change while the program is in use.

    Args:
        path: the .mlpackage folder.
        exact: compute in float64 without rounding, as an oracle for the program's arithmetic.
            Integers keep their declared width, so an index that overflows does so here too.

    Raises:
        FileNotFoundError: there is no package at `path`.
        NotImplementedError: an op, a parameter of an op or a kind of input has no kernel here.
        ValueError: the package is not an ML program, is damaged, or its interface and program
            disagree.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"no .mlpackage folder at {path}")
    # glibc returns large freed blocks to the system and fetches them again page by page, a quarter
    # of the time of a small network, unless it has freed a larger one before.
    np.empty(24 << 20, np.uint8)
    model = specification(path)
    return _compile(read(model, root(path).parent / "weights"), model.description, exact)


def _compile(function: Function, description: Message, exact: bool) -> Program:
    feeds = {each.name: _feed(function, each) for each in description.input}
    if feeds.keys() != function.inputs.keys():
        raise ValueError(f"the interface has inputs {[*feeds]}, the program {[*function.inputs]}")
    constants = {name: _constant(value, exact) for name, value in function.constants.items()}
    steps: list[_Step] = []
    known = {**function.inputs, **function.constants}
    halves = {name for name, one in known.items() if getattr(one, "dtype", None) == np.float16}
    with np.errstate(all="ignore"):
        for op in function.operations:
            halves |= {name for name, one in op.outputs.items() if one.dtype == np.float16}
            step = _step(op, halves)
            if step.reads() <= constants.keys():
                step.run(constants, exact)
            else:
                steps.append(step)
    outputs = tuple(each.name for each in description.output)
    if set(outputs) != set(function.outputs):
        found = tuple(function.outputs)
        raise ValueError(f"the interface has outputs {outputs}, the program {found}")
    steps = _with_relu6(steps, set(outputs))
    needed = set(outputs)
    last_first: list[_Step] = []
    for step in reversed(steps):
        last_first.append(replace(step, spent=tuple(step.reads() - needed)))
        needed |= step.reads()
    return Program(
        inputs=tuple(feeds),
        outputs=outputs,
        exact=exact,
        _feeds=feeds,
        _steps=tuple(reversed(last_first)),
        _constants={name: value for name, value in constants.items() if name in needed},
        _results={name: function.outputs[name].dtype for name in outputs},
    )


def _feed(function: Function, described: Message) -> _Feed:
    name, kind = described.name, described.type.WhichOneof("Type")
    declared = function.inputs.get(name, Declared(None, None))
    shape, dtype = declared.shape, declared.dtype
    if kind not in ("imageType", "multiArrayType") or shape is None or dtype is None:
        raise NotImplementedError(f"input {name!r}: {kind}")
    colour = None
    if kind == "imageType":
        image = described.type.imageType
        colour = messages().ColorSpace(image.colorSpace).name
        channels = {"RGB": 3, "BGR": 3, "GRAYSCALE": 1}.get(colour)
        if channels is None or len(shape) != 4 or shape[1] != channels:
            raise NotImplementedError(
                f"input {name!r}: a {colour} image, but its tensor has the shape {shape}"
            )
    default = None
    if described.type.isOptional and kind == "multiArrayType":
        filled = described.type.multiArrayType.floatDefaultValue  # 0 if the interface names none
        default = np.full([size or 1 for size in shape], filled, dtype)
    return _Feed(shape=shape, dtype=dtype, colour=colour, default=default)


def _step(op: Operation, halves: Set[str]) -> _Step:
    where = f"op {op.name!r} of type {op.type}"
    kernel = KERNELS.get(op.type)
    if kernel is None:
        raise NotImplementedError(f"op {op.name!r}: there is no kernel for type {op.type!r}")
    parameters = inspect.signature(kernel).parameters
    unknown = sorted(op.inputs.keys() - parameters.keys())
    if unknown:
        raise NotImplementedError(f"{where}: its kernel takes no parameter {unknown[0]!r}")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in op.inputs:
            raise ValueError(f"{where}: it has no parameter {name!r}")
    for name, values in op.inputs.items():
        if name != _SEVERAL and len(values) != 1:
            raise ValueError(f"{where}: its parameter {name!r} has {len(values)} values")
    kept = {*op.inputs.get("x", ()), *op.inputs.get("constant_val", ()), *op.outputs}
    rounded = op.type in KEEPING and kept <= halves
    return _Step(op=op, kernel=kernel, rounded=rounded)


def _with_relu6(steps: list[_Step], outputs: Set[str]) -> list[_Step]:
    """Each relu6 of a convolution that nothing else reads is computed with it, in its memory."""
    readers = Counter(name for step in steps for name in step.reads())
    found: list[_Step] = []
    for step in steps:
        if step.op.type == "relu6" and found and found[-1].op.type == "conv":
            conv = found[-1].op
            [x], [declared] = conv.outputs, conv.outputs.values()
            alone = step.reads() == {x} and readers[x] == 1 and x not in outputs
            if alone and [*step.op.outputs.values()] == [declared]:
                op = replace(conv, outputs=step.op.outputs)
                found[-1] = replace(found[-1], op=op, relu6=True)
                continue
        found.append(step)
    return found


def _constant(value: Parameter, exact: bool) -> Parameter:
    number = isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
    return settle(value, value.dtype, exact) if number else value
