"""Read tensors from PyTorch's file format, without PyTorch and without running anything.

The format is the one before zip archives (`torch.save` up to 1.5): five pickles, of which the
fourth describes the tensors and the fifth orders their storages, then the storages themselves.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable, Mapping
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class _Storage(NamedTuple):
    key: str
    dtype: str
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def rebuilt(
        cls,
        storage: _Storage,
        start: int,
        shape: Iterable[int],
        strides: Iterable[int],
        *_: object,
    ) -> _Tensor:
        """What `torch._utils._rebuild_tensor_v2` is called with; the values come later."""
        return cls(storage, int(start), tuple(map(int, shape)), tuple(map(int, strides)))

    def view(self, values: NDArray[Any]) -> NDArray[Any]:
        """The tensor in its storage, none of it outside.

        Raises:
            ValueError: some of it would be.
        """
        if len(self.strides) != len(self.shape) or min((self.start, *self.strides)) < 0:
            raise ValueError("a tensor's strides do not fit its shape")
        if min(self.shape, default=1) < 1 or prod(self.shape) > values.size:
            raise ValueError("a tensor is empty, or larger than its storage")
        steps = zip(self.shape, self.strides, strict=True)
        if self.start + sum((side - 1) * step for side, step in steps) >= values.size:
            raise ValueError("a tensor reaches past its storage")
        bytes_ = [step * values.itemsize for step in self.strides]
        return as_strided(values[self.start :], self.shape, bytes_, writeable=False)


class _State(dict[str, _Tensor]):
    """The `OrderedDict` of a model; its metadata, versions of layers, are passed over."""

    def __setstate__(self, state: object) -> None:
        pass


# What a name of the file stands for: nothing that does anything.
_KNOWN: Mapping[tuple[str, str], object] = MappingProxyType(
    {
        ("collections", "OrderedDict"): _State,
        ("torch._utils", "_rebuild_tensor_v2"): _Tensor.rebuilt,
        **{("torch", name): name for name in _STORAGES},
    }
)


class _Unpickler(pickle.Unpickler):
    """Refuses every name that a pickle may call but four, which stand for ours."""

    def find_class(self, module: str, name: str) -> object:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise ValueError(f"it names {module}.{name}, which is no tensor") from None

    def persistent_load(self, pid: tuple[object, ...]) -> _Storage:
        kind, name, key, _, count, *_ = pid
        if kind != "storage":
            raise ValueError(f"it refers to {kind!r}, which is no tensor")
        if not isinstance(count, int) or count < 0:
            raise ValueError(f"a storage holds {count!r} values")
        return _Storage(str(key), _STORAGES[str(name)], count)


def tensors(content: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a state dictionary by name.

    Nothing in the file is run, whatever it holds. Whether it is the right one is for the caller to
    find out first, by its hash: a malicious one can ask for much memory.

    Raises:
        ValueError: the file is damaged, or holds anything but float32 and int64 tensors.
    """
    try:
        return _tensors(io.BytesIO(content))
    except (
        pickle.UnpicklingError,
        LookupError,
        TypeError,
        AttributeError,
        EOFError,
        OverflowError,
    ) as error:
        raise ValueError(f"it is no PyTorch weights file, or damaged: {error}") from error


def _tensors(stream: io.BytesIO) -> dict[str, NDArray[Any]]:
    magic, protocol, _, state, order = (_Unpickler(stream).load() for _ in range(5))
    if (magic, protocol) != (_MAGIC, _PROTOCOL) or not isinstance(state, _State):
        raise ValueError("it is no PyTorch weights file")
    kinds = {one.storage.key: one.storage for one in state.values()}
    storages = {}
    for key in order:
        storage = kinds[key]
        if _values(stream, "<i8", 1)[0] != storage.size:
            raise ValueError("a storage has another length than its tensors say")
        storages[key] = _values(stream, storage.dtype, storage.size)
    return {name: tensor.view(storages[tensor.storage.key]) for name, tensor in state.items()}


def _values(stream: io.BytesIO, dtype: str, count: int) -> NDArray[Any]:
    size = np.dtype(dtype).itemsize * count
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("it is cut off")
    return np.frombuffer(data, dtype)
