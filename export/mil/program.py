"""Executes a saved Core ML program off the Mac, op by op, in numpy.

coremltools writes programs on any machine but runs them on macOS only. Here the .mlpackage is read
back from disk, the interface from its spec and the ops from its MIL program, so whatever was lost
in saving is missed. What an ANE or GPU does differently (accumulation, subnormals, ties) is not
modelled: float16 ops are computed in float32 and rounded once, to their declared type.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Array, Kernel, settle
from .kernels import KERNELS

Output = Array | str | dict[str, float]
Foreign = Any  # an object of coremltools, which has no types

_PACKED = ("affine_dequantize", "blockwise_shift_scale", "cast", "lut_to_dense", "sparse_to_dense")
_FROM_WEIGHTS = {f"constexpr_{how}" for how in _PACKED}  # the op object itself unpacks, Apple's way


@dataclass(frozen=True, kw_only=True)
class _Feed:
    """An input as the interface declares it; an axis of any length is None."""

    slot: int
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    colour: str | None  # RGB, BGR or GRAYSCALE of an image; None for an array

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
    op: str
    name: str
    kernel: Kernel
    arguments: Mapping[str, int | tuple[int, ...]]  # parameter to slot, or slots of a tuple
    slots: tuple[int, ...]
    dtypes: tuple[np.dtype[Any] | None, ...]
    spent: tuple[int, ...] = ()  # slots nobody reads afterwards

    def run(self, memory: dict[int, Any], exact: bool) -> None:
        given = {
            name: tuple(memory[s] for s in slot) if isinstance(slot, tuple) else memory[slot]
            for name, slot in self.arguments.items()
        }
        try:
            results = self.kernel(**given)
        except (IndexError, NotImplementedError, ValueError) as error:
            raise type(error)(f"op {self.name!r} of type {self.op}: {error}") from error
        results = results if isinstance(results, tuple) else (results,)
        for slot, result, dtype in zip(self.slots, results, self.dtypes, strict=True):
            memory[slot] = result if dtype is None else settle(result, dtype, exact)
        for slot in self.spent:
            memory.pop(slot, None)

    def reads(self) -> set[int]:
        every = self.arguments.values()
        return {s for slots in every for s in (slots if isinstance(slots, tuple) else (slots,))}


@dataclass(frozen=True, kw_only=True)
class Program:
    """A loaded program: `program({"image": pixels})` gives its outputs by name.

    An image input takes pixels 0..255, (1, h, w, 3) in RGB or (1, h, w, 1) in grey, whatever layout
    and colour order the program wants inside; any other input takes the array that it declares.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    exact: bool
    _feeds: Mapping[str, _Feed]
    _steps: tuple[_Step, ...]
    _constants: Mapping[int, Any]
    _results: Mapping[str, tuple[int, np.dtype[Any] | None]]

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Output]:
        """Runs the program once.

        Args:
            feeds: one array per input.

        Returns:
            One value per output: an array of its declared type (float64 where `exact`), and of a
            classifier the label and the probability of each label.

        Raises:
            ValueError: an input is missing or unknown, its shape is wrong, pixels leave 0..255.
            IndexError: the program gathers outside of a tensor, which is undefined on the device.
        """
        if set(feeds) != set(self.inputs):
            raise ValueError(f"inputs are {sorted(self.inputs)}, got {sorted(feeds)}")
        memory = dict(self._constants)
        with np.errstate(all="ignore"):  # overflow and NaN are results here, as on the device
            for name, feed in self._feeds.items():
                value = feed.read(name, np.asarray(feeds[name]))
                memory[feed.slot] = settle(value, feed.dtype, self.exact)
            for step in self._steps:
                step.run(memory, self.exact)
        found = {}
        for name, (slot, dtype) in self._results.items():
            whole = dtype is None or (self.exact and dtype.kind == "f")
            found[name] = memory[slot] if whole else memory[slot].astype(dtype)
        return found


def load(path: Path, *, exact: bool = False) -> Program:
    """Reads a saved ML program; weights are decoded and constant parts computed once, here.

    Args:
        path: the .mlpackage folder.
        exact: compute in float64 and round nothing, as an oracle for the program's arithmetic.
            Integers keep their declared width, so a wrapped index wraps here too.

    Raises:
        FileNotFoundError: there is no package at `path`.
        NotImplementedError: an op, a parameter of an op or a kind of input has no kernel here.
        ValueError: the package is no ML program, or its interface and its program disagree.
    """
    # This drags TensorFlow in (4 s). Hiding TensorFlow for the import would be faster, but
    # coremltools notes once per process that it is absent and then never converts again.
    import coremltools
    from coremltools.converters.mil.frontend.milproto.load import load as read

    if not path.is_dir():
        raise FileNotFoundError(f"no .mlpackage folder at {path}")
    spec = coremltools.utils.load_spec(str(path))
    weights = path / "Data" / "com.apple.CoreML" / "weights"
    functions = read(spec, spec.specificationVersion, str(weights)).functions
    if set(functions) != {"main"}:
        raise NotImplementedError(f"functions {sorted(functions)}; only a sole 'main' is run")
    return _compile(functions["main"], spec.description, exact)


def _compile(function: Foreign, description: Foreign, exact: bool) -> Program:
    slots: dict[
        Foreign, int
    ] = {}  # by variable: constants that the reader makes up have no safe name

    def slot(var: Foreign) -> int:
        return slots.setdefault(var, len(slots))

    feeds = {each.name: _feed(function, each, slot) for each in description.input}
    constants: dict[int, Any] = {}
    steps: list[_Step] = []
    with np.errstate(all="ignore"):
        for op in function.operations:
            if op.op_type == "const":
                constants[slot(op.outputs[0])] = _constant(op.outputs[0].val, exact)
            elif op.op_type in _FROM_WEIGHTS:
                dense = op.materialized_val_inference()
                constants[slot(op.outputs[0])] = _constant(dense, exact)
            else:
                step = _step(op, slot)
                if step.reads() <= constants.keys():
                    step.run(constants, exact)
                else:
                    steps.append(step)
    results = {var.name: (slot(var), _dtype(var)) for var in function.outputs}
    outputs = tuple(each.name for each in description.output)
    if set(outputs) != set(results):
        raise ValueError(f"the interface has outputs {outputs}, the program {tuple(results)}")
    needed = {slot for slot, _ in results.values()}
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
        _constants={key: value for key, value in constants.items() if key in needed},
        _results={name: results[name] for name in outputs},
    )


def _feed(function: Foreign, described: Foreign, slot: Callable[[Foreign], int]) -> _Feed:
    name, kind = described.name, described.type.WhichOneof("Type")
    if name not in function.inputs:
        raise ValueError(f"the interface has an input {name!r}, the program {[*function.inputs]}")
    var = function.inputs[name]
    shape = tuple(size if isinstance(size, int) else None for size in var.shape)
    colour = None
    if kind == "imageType":
        image = described.type.imageType
        colour = image.ColorSpace.Name(image.colorSpace)
        channels = {"RGB": 3, "BGR": 3, "GRAYSCALE": 1}.get(colour)
        if channels is None or len(shape) != 4 or shape[1] != channels:
            raise NotImplementedError(f"input {name!r}: a {colour} image as a tensor {shape}")
    elif kind != "multiArrayType":
        raise NotImplementedError(f"input {name!r}: {kind}")
    dtype = _dtype(var)
    assert dtype is not None  # both kinds are tensors
    return _Feed(slot=slot(var), shape=shape, dtype=dtype, colour=colour)


def _step(op: Foreign, slot: Callable[[Foreign], int]) -> _Step:
    kernel = KERNELS.get(op.op_type)
    if kernel is None:
        raise NotImplementedError(f"op {op.name!r}: there is no kernel for type {op.op_type!r}")
    given = {name: value for name, value in op.inputs.items() if value is not None}
    unknown = sorted(given.keys() - inspect.signature(kernel).parameters.keys())
    if unknown:
        where = f"op {op.name!r} of type {op.op_type}"
        raise NotImplementedError(f"{where}: its kernel takes no parameter {unknown[0]!r}")
    return _Step(
        op=op.op_type,
        name=op.name,
        kernel=kernel,
        arguments={
            name: tuple(map(slot, value)) if isinstance(value, (list, tuple)) else slot(value)
            for name, value in given.items()
        },
        slots=tuple(map(slot, op.outputs)),
        dtypes=tuple(map(_dtype, op.outputs)),
    )


def _dtype(var: Foreign) -> np.dtype[Any] | None:
    """The declared number type, or None for the label and the dictionary of a classifier."""
    from coremltools.converters.mil.mil import types

    worded = types.is_str(var.sym_type) or types.is_dict(var.sym_type)
    return None if worded else np.dtype(types.nptype_from_builtin(var.dtype))


def _constant(value: Foreign, exact: bool) -> Foreign:
    number = isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fiub"
    return settle(value, value.dtype, exact) if number else value
