"""Read and write an ONNX file in pieces, without reading references that are not needed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError, first_line
from pocketknn.export.formats.storage.protobuf_fields import Field, content, follow, header, texts
from pocketknn.export.formats.storage.texts import as_properties, manifest_in
from pocketknn.export.output import checksums
from pocketknn.export.output.checksums import sealed

from .metadata import properties as _properties

if TYPE_CHECKING:
    import onnx

_GRAPH, _METADATA_PROPS = 7, 14  # of ModelProto in onnx.proto
_INITIALIZER = 5  # of GraphProto
_NAME, _RAW_DATA = 8, 9  # of TensorProto


def properties(path: Path) -> dict[str, str]:
    """The file's `metadata_props`.

    Raises:
        InputError: it is not an ONNX file.
    """
    try:
        with path.open("rb") as file:
            return texts(file, _METADATA_PROPS)
    except (ValueError, OSError) as error:
        raise InputError(
            f"{path.name} is not an ONNX file: {first_line(error)}", "file-damaged"
        ) from error


def graph_of(path: Path) -> Field:
    """The position of the graph.

    Raises:
        InputError: there is none.
    """
    with path.open("rb") as file:
        for one in follow(file, _GRAPH):
            return one
    raise InputError(f"{path.name} is not an ONNX file: there is no graph in it", "file-damaged")


def without(path: Path, names: Collection[str]) -> onnx.ModelProto:
    """The model without some of its initializers, which are not read."""
    import onnx

    parts, proto, graph = [], onnx.ModelProto(), graph_of(path)
    with path.open("rb") as file:
        place = graph.start
        for name, one in _initializers(file, graph):
            if name in names:
                parts.append(_bytes(file, place, one.key))
                place = one.end
        parts.append(_bytes(file, place, graph.end))
        proto.MergeFromString(_bytes(file, 0, graph.key))
        proto.MergeFromString(_bytes(file, graph.end, path.stat().st_size))
    proto.graph.MergeFromString(b"".join(parts))
    return proto


def mapped(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """float32 initializers, flat and memory-mapped."""
    with path.open("rb") as file:
        places = {
            name: next(follow(file, _RAW_DATA, inside=one))
            for name, one in _initializers(file, graph_of(path))
            if name in names
        }
    return {
        name: np.memmap(path, np.float32, "r", one.start, ((one.end - one.start) // 4,))
        for name, one in places.items()
    }


def write(
    path: Path,
    proto: onnx.ModelProto,
    tables: Mapping[str, NDArray[Any]],
    texts: Mapping[str, str],
) -> None:
    """Write a model.

    Args:
        path: the file.
        proto: the model.
        tables: further initializers, which come last in its graph.
        texts: its texts.
    """
    import onnx

    parts: list[Any] = [proto.graph.SerializeToString(deterministic=True)]
    for name, values in tables.items():
        described = onnx.TensorProto(
            name=name,
            dims=values.shape,
            data_type=onnx.helper.np_dtype_to_tensor_dtype(values.dtype),
        ).SerializeToString(deterministic=True)
        raw = header(_RAW_DATA, values.nbytes)
        length = len(described) + len(raw) + values.nbytes
        parts += [header(_INITIALIZER, length) + described + raw, values]
    digest = hashlib.sha256()
    before, after = onnx.ModelProto(), onnx.ModelProto()
    for field, value in proto.ListFields():
        if field.name not in ("graph", "metadata_props"):
            side = before if field.number < _GRAPH else after
            side.MergeFrom(onnx.ModelProto(**{field.name: value}))
    with path.open("wb") as file:
        file.write(before.SerializeToString(deterministic=True))
        file.write(header(_GRAPH, sum(memoryview(part).nbytes for part in parts)))
        for part in parts:
            checksums.write(file, part, digest)
        own = as_properties(sealed(texts, digest.hexdigest()))
        onnx.helper.set_model_props(after, _properties(manifest_in(texts)) | own)
        file.write(after.SerializeToString(deterministic=True))


def _initializers(file: BinaryIO, graph: Field) -> Iterator[tuple[str, Field]]:
    """The name and position of each initializer."""
    for one in follow(file, _INITIALIZER, inside=graph):
        name = next(follow(file, _NAME, inside=one), None)
        yield (content(file, name).decode() if name else ""), one


def _bytes(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)
