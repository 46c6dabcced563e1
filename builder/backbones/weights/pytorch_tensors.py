"""Read tensors from a PyTorch file, without PyTorch and without running code from the file.

The format predates zip archives (`torch.save` up to 1.5): five pickles, then the storages. The
fourth pickle describes the tensors, and the fifth gives the order of their storages.
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
        """Stands in for `torch._utils._rebuild_tensor_v2`; the values are read later."""
        return cls(storage, int(start), tuple(map(int, shape)), tuple(map(int, strides)))

    def view(self, values: NDArray[Any]) -> NDArray[Any]:
        """The tensor as a view of its storage.

        Raises:
            ValueError: it would reach outside the storage.
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
    """The `OrderedDict` of a model; its metadata (the versions of its layers) is ignored."""

    def __setstate__(self, state: object) -> None:
        pass


# The names that a file may use, with harmless stand-ins.
_KNOWN: Mapping[tuple[str, str], object] = MappingProxyType(
    {
        ("collections", "OrderedDict"): _State,
        ("torch._utils", "_rebuild_tensor_v2"): _Tensor.rebuilt,
        **{("torch", name): name for name in _STORAGES},
    }
)


class _Unpickler(pickle.Unpickler):
    """Refuses every name in a pickle except those in `_KNOWN`."""

    def find_class(self, module: str, name: str) -> object:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise ValueError(f"it names {module}.{name}, which is not a tensor") from None

    def persistent_load(self, pid: tuple[object, ...]) -> _Storage:
        kind, name, key, _, count, *_ = pid
        if kind != "storage":
            raise ValueError(f"it refers to {kind!r}, which is not a tensor")
        if not isinstance(count, int) or count < 0:
            raise ValueError(f"a storage holds {count!r} values")
        return _Storage(str(key), _STORAGES[str(name)], count)


def tensors(content: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a state dictionary by name.

    No code in the file is run. The caller should check its hash first, as a malicious file can
    demand a lot of memory.

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
        raise ValueError(f"it is not a PyTorch weights file, or is damaged: {error}") from error


def _tensors(stream: io.BytesIO) -> dict[str, NDArray[Any]]:
    magic, protocol, _, state, order = (_Unpickler(stream).load() for _ in range(5))
    if (magic, protocol) != (_MAGIC, _PROTOCOL) or not isinstance(state, _State):
        raise ValueError("it is not a PyTorch weights file")
    kinds = {one.storage.key: one.storage for one in state.values()}
    storages = {}
    for key in order:
        storage = kinds[key]
        if _values(stream, "<i8", 1)[0] != storage.size:
            raise ValueError("the length of a storage does not match its tensors")
        storages[key] = _values(stream, storage.dtype, storage.size)
    return {name: tensor.view(storages[tensor.storage.key]) for name, tensor in state.items()}


def _values(stream: io.BytesIO, dtype: str, count: int) -> NDArray[Any]:
    size = np.dtype(dtype).itemsize * count
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("it is truncated")
    return np.frombuffer(data, dtype)
