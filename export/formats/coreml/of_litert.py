"""A packaged backbone as a Core ML package, without TensorFlow and coremltools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.export.formats.options import Options

from .files import MODEL
from .messages import messages
from .package import Package
from .weights import NUMBERS

if TYPE_CHECKING:
    from pocketknn.export.formats.tflite.network import Network, Operation

_SUMS = {"ADD": "add", "MUL": "mul"}
_PRECISIONS = {"float32": np.float32, "float16": np.float16}
_ROOT = "model"


def from_litert(content: bytes, size: int, path: Path, options: Options, precision: str) -> bool:
    """Write a LiteRT network as Core ML, if the precision is `float32` or `float16`.

    Padding is written as numbers, because the op reference and the converter disagree on what
    "same" means for a stride of 2.
    """
    from pocketknn.export.formats.tflite.network import Network

    if precision not in _PRECISIONS:
        return False
    made = _Translated(Network(content), size, _PRECISIONS[precision])
    made.save(path)
    return True


class _Translated:
    """The program so far; each value is named after the number of its tensor in the TFLite file."""

    def __init__(self, network: Network, size: int, dtype: Any) -> None:  # noqa: ANN401
        self._network, self._dtype = network, np.dtype(dtype)
        self._classes = messages()
        self._operations: list[Any] = []
        self._arrays: list[NDArray[Any]] = []
        self._size = size
        given = self._constant("dtype", "fp16" if self._dtype == np.float16 else "fp32")
        shape: tuple[int, ...] = (1, 3, size, size)
        self._shapes: dict[str, tuple[int, ...]] = {_name(network.picture): shape}
        self._add("cast", {"x": "image", "dtype": given}, _name(network.picture), shape)
        for operation in network.operations:
            self._translate(operation)

    def _translate(self, one: Operation) -> None:
        from pocketknn.export.formats.tflite.network import CONVOLUTIONS

        kind, out = one.kind, _name(one.output)
        shape = next(self._shapes[_name(i)] for i in one.inputs if _name(i) in self._shapes)
        result = f"{out}_unbounded" if one.relu6 else out
        if kind in _SUMS:
            x, y = (self._value(number, f"{out}_term") for number in one.inputs)
            self._add(_SUMS[kind], {"x": x, "y": y}, result, shape)
        elif kind in CONVOLUTIONS:
            kernel, bias, groups = self._network.convolution(one)
            before, shape = _windows(shape, kernel.shape, one)
            how = {
                "x": _name(one.inputs[0]),
                "weight": self._constant(f"{out}_weight", kernel.astype(self._dtype)),
                "bias": self._constant(f"{out}_bias", bias.astype(self._dtype)),
                "strides": self._constant(f"{out}_strides", np.array(one.strides, np.int32)),
                "pad_type": self._constant(f"{out}_pad_type", "custom"),
                "pad": self._constant(f"{out}_pad", np.array(before, np.int32)),
                "dilations": self._constant(f"{out}_dilations", np.ones(2, np.int32)),
                "groups": self._constant(f"{out}_groups", np.array(groups, np.int32)),
            }
            self._add("conv", how, result, shape)
        elif kind == "MEAN":
            mean = {
                "x": _name(one.inputs[0]),
                "axes": self._constant(f"{out}_axes", np.array([2, 3], np.int32)),
                "keep_dims": self._constant(f"{out}_keep_dims", np.array(False)),
            }
            self._add("reduce_mean", mean, f"{out}_mean", shape[:2])
            wide = self._constant(f"{out}_dtype", "fp32")
            self._dtype = np.dtype(np.float32)
            self._add("cast", {"x": f"{out}_mean", "dtype": wide}, growth.EMBEDDING, shape[:2])
        else:
            raise NotImplementedError(f"a LiteRT operation {kind}")
        if one.relu6:
            self._add("relu6", {"x": result}, out, shape)

    def _value(self, number: int, name: str) -> str:
        """The name of a value, which becomes a constant if it is one in LiteRT."""
        values = self._network.constant(number)
        if values is None:
            return _name(number)
        if values.size > 1:  # one number per channel, the last axis in LiteRT
            values = values.reshape(1, -1, 1, 1)
        return self._constant(name, values.astype(self._dtype))

    def _constant(self, name: str, value: NDArray[Any] | str) -> str:
        kinds = self._classes.DataType
        made = self._classes.Operation(type="const")
        held = made.attributes["val"]
        tensor = held.immediateValue.tensor
        if isinstance(value, str):
            held.type.tensorType.dataType = kinds.STRING
            tensor.strings.values.append(value)
            shape: tuple[int, ...] = ()
        else:
            shape = value.shape
            kind = {number.dtype: name for name, number in NUMBERS.items()}[value.dtype]
            held.type.tensorType.dataType = getattr(kinds, kind)
            if value.dtype == np.int32:
                tensor.ints.values.extend(value.ravel().tolist())
            elif value.dtype == np.bool_:
                tensor.bools.values.extend(value.ravel().tolist())
            else:
                held.blobFileValue.fileName = "@model_path/weights/weight.bin"
                held.blobFileValue.offset = len(self._arrays)  # a key until the package is written
                self._arrays.append(np.ascontiguousarray(value))
        _set_shape(held.type.tensorType, shape)
        made.outputs.add(name=name).type.CopyFrom(held.type)
        self._named(made, name)
        return name

    def _add(self, kind: str, inputs: dict[str, str], name: str, shape: tuple[int, ...]) -> None:
        made = self._classes.Operation(type=kind)
        for key, value in inputs.items():
            made.inputs[key].arguments.add().name = value
        output = made.outputs.add(name=name).type.tensorType
        kinds = self._classes.DataType
        output.dataType = kinds.FLOAT16 if self._dtype == np.float16 else kinds.FLOAT32
        _set_shape(output, shape)
        self._shapes[name] = shape
        self._named(made, name)

    def _named(self, made: Any, name: str) -> None:  # noqa: ANN401  # the messages have no stubs
        own = made.attributes["name"]
        own.type.tensorType.dataType = self._classes.DataType.STRING
        own.immediateValue.tensor.strings.values.append(name)
        self._operations.append(made)

    def save(self, path: Path) -> None:
        """Write the package; the head that it is joined to adds the rest of the description."""
        model = self._classes.Model(specificationVersion=6)
        picture = model.description.input.add(name="image").type.imageType
        picture.width = picture.height = self._size
        picture.colorSpace = self._classes.ColorSpace.RGB
        model.mlProgram.version = 1
        function = model.mlProgram.functions["main"]
        given = function.inputs.add(name="image").type.tensorType
        given.dataType = self._classes.DataType.FLOAT32
        _set_shape(given, (1, 3, self._size, self._size))
        function.opset = "CoreML5"
        block = function.block_specializations["CoreML5"]
        block.outputs.append(growth.EMBEDDING)
        block.operations.extend(self._operations)
        (path / "Data" / MODEL).parent.mkdir(parents=True)
        (path / "Data" / MODEL).write_bytes(model.SerializeToString(deterministic=True))
        entry = {"author": "com.apple.CoreML", "description": "", "name": "", "path": MODEL}
        listed = {"itemInfoEntries": {_ROOT: entry}, "rootModelIdentifier": _ROOT}
        (path / "Manifest.json").write_text(json.dumps(listed), "utf-8", newline="")
        package = Package(path)
        for _, value in package.constants():
            if value.WhichOneof("value") == "blobFileValue":
                package.replace(value, self._arrays[value.blobFileValue.offset])
        package.rewrite()


def _windows(
    shape: tuple[int, ...], kernel: tuple[int, ...], one: Operation
) -> tuple[list[int], tuple[int, ...]]:
    """The padding before and after each axis, and the shape of the result (n, out, H, W)."""
    pads: list[int] = []
    sizes = []
    for size, reach, step in zip(shape[2:], kernel[2:], one.strides, strict=True):
        count = -(-size // step) if one.same else (size - reach) // step + 1
        total = max(0, (count - 1) * step + reach - size) if one.same else 0
        pads += [total // 2, total - total // 2]
        sizes.append(count)
    return pads, (shape[0], kernel[0], *sizes)


def _set_shape(described: Any, shape: tuple[int, ...]) -> None:  # noqa: ANN401
    described.rank = len(shape)
    for size in shape:
        described.dimensions.add().constant.size = size


def _name(number: int) -> str:
    return f"tensor_{number}"
