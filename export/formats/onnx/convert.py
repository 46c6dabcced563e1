"""ONNX: for services, desktops and browsers."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.graph.index_layers import LARGE
from pocketknn.export.formats import canonical, protobuf_fields, quantize
from pocketknn.export.formats import narrow as smaller
from pocketknn.export.formats.licence import licence
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.protocol import Outputs, Run
from pocketknn.export.formats.serving_function import pixels_of, serving_function
from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.output import checksums
from pocketknn.export.templates import slots
from pocketknn.export.templates.slots import Content, Slots

from .session import session_of

if TYPE_CHECKING:
    import keras
    import onnx

SUFFIX = ".onnx"
NEEDS: tuple[str, ...] = ("tensorflow", "tf2onnx", "onnx")
RUNTIME: tuple[str, ...] = ("onnxruntime",)
PRECISION = "float32"
PRECISIONS: tuple[str, ...] = ("float32", "float16", "int8")
THREADS = True
OPSET = 17
_PREFIX = "pocketknn."
_TABLES = re.compile(r"pocketknn(_\d+)?/(references|scan)")  # names of the search's nodes
_GRAPH, _METADATA_PROPS = 7, 14  # of ModelProto in onnx.proto
_INITIALIZER = 5  # of GraphProto
_NAME, _RAW_DATA = 8, 9  # of TensorProto
# How pixels are meant, in the words of ONNX's MetadataProps.md.
_PIXELS = {
    "Image.BitmapPixelFormat": "Rgb8",
    "Image.ColorSpaceGamma": "SRGB",
    "Image.NominalPixelRange": "NominalRange_0_255",
}
_AXES = ("DATA_BATCH", "DATA_FEATURE", "DATA_FEATURE", "DATA_CHANNEL")  # DimensionDenotation.md


def convert(
    model: keras.Model,
    path: Path,
    labels: Sequence[str],
    options: Options,
    precision: str,
    calibration: NDArray[Any] | None = None,
) -> None:
    """Convert with tf2onnx, and check in full.

    The graph takes any number of inputs at once, and has operators of ai.onnx only.
    """
    import onnx
    import tf2onnx

    pixels = pixels_of(model, options)
    serve = serving_function(model, batch=None, pixels=pixels)
    proto, _ = tf2onnx.convert.from_function(
        serve, input_signature=serve.input_signature, opset=OPSET
    )
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"  # tf2onnx names it unk__<number>
    _rows_first(proto)
    if precision == "float16":
        proto = quantize.onnx_half(proto)
    elif precision == "int8":
        pictures = quantize.check_calibration(calibration)
        proto = quantize.onnx_int8(proto, pictures.astype(pixels))
    # Shapes in between are those of what was converted, and runtimes believe them of other
    # references too.
    del proto.graph.value_info[:]
    _drop_unused_domains(proto)
    canonical.onnx_graph(proto.graph)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save_model(proto, path)


def locate(path: Path, content: Content) -> Slots:
    """Find the content's places: names of initializers, and outputs by number."""
    import onnx

    graph = onnx.load_model(path).graph
    tensors = [([t.name], onnx.numpy_helper.to_array(t)) for t in graph.initializer]
    numbers = [size for place, values in tensors for size in slots.sizes_in(place, values)]
    shapes = [value.type.tensor_type.shape.dim for value in graph.output]
    numbers += [
        ([place, axis], int(size.dim_value))
        for place, shape in enumerate(shapes)
        for axis, size in enumerate(shape)
    ]
    return slots.locate(content, tensors, numbers)


def narrow(path: Path, places: Slots, kinds: Mapping[str, str]) -> Slots:
    """Change the types of initializers, and what takes them; their names stay."""
    import onnx

    proto = onnx.load_model(path)
    for name, kind in kinds.items():
        for place in places.constants[name]:
            smaller.onnx_tables(proto, place[0], kind)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save_model(proto, path)
    return places


def content(path: Path, places: Slots) -> dict[str, NDArray[Any]]:
    """The constants of a file, flat, as they lie in it; the references stay in the file."""
    import onnx

    large = {place[0] for place in places.constants.get("references", ())}
    graph = _without(path, large).graph
    values = {t.name: onnx.numpy_helper.to_array(t).ravel() for t in graph.initializer}
    with path.open("rb") as file:
        for one in _initializers(file, path):
            if (name := _name(file, one)) in large:
                data = next(
                    f
                    for f in protobuf_fields.fields(file, one.start, one.end)
                    if f.number == _RAW_DATA
                )
                shape = ((data.end - data.start) // 4,)
                values[name] = np.memmap(path, np.float32, "r", data.start, shape)
    return {name: values[found[0][0]] for name, found in places.constants.items()}


def fill(source: Path, path: Path, places: Slots, content: Content, metadata: Metadata) -> None:
    """Write a converted file again with other content, and the metadata in `metadata_props`.

    The references come last in the file, and go there as they lie in memory.
    """
    import onnx

    large = {
        place[0]: _stored(slots.values(content, place, name))
        for name in LARGE
        for place in places.constants.get(name, ())
    }
    proto = _without(source, large)
    graph = proto.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for name, found in places.constants.items():
        for place in found:
            if place[0] in large:
                continue
            tensor, values = tensors[place[0]], slots.values(content, place, name)
            same = math.prod(tensor.dims) == values.size
            values = values.reshape(tensor.dims if same else values.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    for name, found in places.sizes.items():
        for first, second in found:
            if isinstance(first, str):
                changed = onnx.numpy_helper.to_array(tensors[first]).copy()
                changed.reshape(-1)[second] = content.sizes[name]
                tensors[first].CopyFrom(onnx.numpy_helper.from_array(changed, first))
            else:
                shape = graph.output[first].type.tensor_type.shape
                shape.dim[second].dim_value = content.sizes[name]
    _introduce(proto, metadata)
    _write(path, proto, large, metadata)


def read(path: Path) -> Metadata:
    """Read the metadata from `metadata_props`, and nothing else of the file."""
    try:
        with path.open("rb") as file:
            props = protobuf_fields.texts(file, 0, path.stat().st_size, _METADATA_PROPS)
    except (ValueError, OSError) as error:
        raise InputError(f"{path.name} is no ONNX file: {first_line(error)}") from error
    own = {k.removeprefix(_PREFIX): v for k, v in props.items() if k.startswith(_PREFIX)}
    return Metadata.parse(own, path.name)


def check(path: Path) -> Metadata:
    """Refuse a file that is not what was written; its metadata."""
    metadata = read(path)
    with path.open("rb") as file:
        graph = _graph(file, path)
    metadata.check_seal(checksums.sha256(path, graph.start, graph.end), path.name)
    return metadata


def load(path: Path, threads: int | None = None) -> Run:
    """Open the file in onnxruntime."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    # onnxruntime's exceptions have no common base but Exception; what it says may be no UTF-8.
    refusals = (state.Fail, state.InvalidGraph, state.InvalidProtobuf, state.RuntimeException)
    metadata = check(path)
    try:
        session = session_of(path, threads)
    except (*refusals, state.NotImplemented, state.InvalidArgument, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is refused by onnxruntime: {first_line(error)}") from error
    (feed,) = session.get_inputs()
    kind = np.uint8 if feed.type == "tensor(uint8)" else np.float32
    names = [output.name for output in session.get_outputs()]
    # Manhattan's differences to all references are made for each input of a batch.
    together = 32 if metadata.manifest["metric"] in ("cosine", "euclidean") else 1

    def run(batch: NDArray[Any]) -> Outputs:
        blocks = [
            session.run(names, {feed.name: batch[start : start + together].astype(kind)})
            for start in range(0, len(batch), together)
        ]
        return {n: np.concatenate(b) for n, b in zip(names, zip(*blocks, strict=True), strict=True)}

    return run


def _drop_unused_domains(proto: onnx.ModelProto) -> None:
    """tf2onnx always imports ai.onnx.ml, which small runtimes do not have."""
    used = {node.domain for node in proto.graph.node}
    kept = [one for one in proto.opset_import if one.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)


def _rows_first(proto: onnx.ModelProto) -> None:
    """Store the references a row each, and only once, where the product wants columns.

    The sums are the same. The Euclidean search selects with the references and looks them up, and
    tf2onnx stores both ways. Rows go into a file as they lie in memory.
    """
    from onnx import helper, numpy_helper

    graph = proto.graph
    tables = {t.name: numpy_helper.to_array(t) for t in graph.initializer if len(t.dims) == 2}
    for node in graph.node:
        if node.op_type != "MatMul" or not _TABLES.match(node.name):
            continue
        rows = np.ascontiguousarray(tables[node.input[1]].T)
        twins = (name for name, table in tables.items() if _same_bits(table, rows))
        name = next(twins, None) or f"{node.input[1]}_rows"
        if name not in tables:
            graph.initializer.append(numpy_helper.from_array(rows, name))
        operands = (node.input[0], name)
        node.CopyFrom(helper.make_node("Gemm", operands, node.output, node.name, transB=1))
    used = {name for node in graph.node for name in node.input}
    kept = [table for table in graph.initializer if table.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _stored(values: NDArray[Any]) -> NDArray[Any]:
    """A large constant as files hold it: bytes have no sign there."""
    if values.dtype != np.int8:
        return values
    return values.view(np.uint8) ^ np.uint8(smaller.MIDDLE)  # adds 128 to each


def _same_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype) and one.tobytes() == other.tobytes()


def _introduce(proto: onnx.ModelProto, metadata: Metadata) -> None:
    """Say in the standard's own fields what this is and what its input means."""
    manifest = metadata.manifest
    proto.producer_name, proto.producer_version = "pocketknn", version("pocketknn")
    proto.domain, proto.doc_string = "pocketknn", manifest["description"]
    if manifest["version"].isdecimal():
        proto.model_version = int(manifest["version"])
    (feed,) = proto.graph.input
    if manifest["input"]["name"] == "image":
        feed.type.denotation = "IMAGE"
        for axis, meaning in zip(feed.type.tensor_type.shape.dim, _AXES, strict=True):
            axis.denotation = meaning
    for value in (*proto.graph.input, *proto.graph.output):
        value.doc_string = _meaning(manifest, value.name)


def _meaning(manifest: dict[str, Any], name: str) -> str:
    given = manifest["input"]
    if name != given["name"]:
        return str(manifest["outputs"][name]["is"])
    if name != "image":
        return "feature vectors"
    return f"NHWC, RGB, 0..255, upright, crop {given['crop']}, resampled as {given['resample']}"


def _properties(manifest: dict[str, Any]) -> dict[str, str]:
    """What other tools look for; `names`, `task` and `imgsz` are Ultralytics' keys."""
    given = manifest["input"]
    said = {"author": manifest["author"], "license": licence(manifest)}
    said |= {name: manifest[name] for name in ("version", "description")}
    said |= {"task": manifest["head"], "k": str(manifest["k"]), "metric": manifest["metric"]}
    if manifest["labels"]:
        names = {str(number): label for number, label in enumerate(manifest["labels"])}
        said["names"] = json.dumps(names, ensure_ascii=False)
    if given["name"] == "image":
        said |= {"imgsz": json.dumps(given["shape"][:2]), "crop": given["crop"]}
        said |= {"backbone": manifest["backbone"]["name"]} | _PIXELS
    return {name: text for name, text in said.items() if text}


def _without(path: Path, names: Collection[str]) -> onnx.ModelProto:
    """The model without some of its initializers, which are not read."""
    import onnx

    parts, proto = [], onnx.ModelProto()
    with path.open("rb") as file:
        end, graph = path.stat().st_size, _graph(file, path)
        place = graph.start
        for one in _initializers(file, path):
            if _name(file, one) in names:
                parts.append(_bytes(file, place, one.key))
                place = one.end
        parts.append(_bytes(file, place, graph.end))
        proto.MergeFromString(_bytes(file, 0, graph.key))
        proto.MergeFromString(_bytes(file, graph.end, end))
    proto.graph.MergeFromString(b"".join(parts))
    return proto


def _write(
    path: Path,
    proto: onnx.ModelProto,
    matrices: Mapping[str, NDArray[Any]],
    metadata: Metadata,
) -> None:
    """Write a model, and further initializers at the end of its graph."""
    import onnx

    parts: list[Any] = [proto.graph.SerializeToString(deterministic=True)]
    for name, values in matrices.items():
        described = onnx.TensorProto(
            name=name,
            dims=values.shape,
            data_type=onnx.helper.np_dtype_to_tensor_dtype(values.dtype),
        ).SerializeToString(deterministic=True)
        raw = protobuf_fields.header(_RAW_DATA, values.nbytes)
        length = len(described) + len(raw) + values.nbytes
        parts += [protobuf_fields.header(_INITIALIZER, length) + described + raw, values]
    digest = hashlib.sha256()
    before, after = onnx.ModelProto(), onnx.ModelProto()
    for field, value in proto.ListFields():
        if field.name not in ("graph", "metadata_props"):
            side = before if field.number < _GRAPH else after
            side.MergeFrom(onnx.ModelProto(**{field.name: value}))
    with path.open("wb") as file:
        file.write(before.SerializeToString(deterministic=True))
        file.write(protobuf_fields.header(_GRAPH, sum(memoryview(part).nbytes for part in parts)))
        for part in parts:
            checksums.write(file, part, digest)
        own = metadata.files(digest.hexdigest())
        onnx.helper.set_model_props(
            after,
            _properties(metadata.manifest) | {_PREFIX + name: text for name, text in own.items()},
        )
        file.write(after.SerializeToString(deterministic=True))


def _graph(file: BinaryIO, path: Path) -> protobuf_fields.Field:
    for one in protobuf_fields.fields(file, 0, path.stat().st_size):
        if one.number == _GRAPH:
            return one
    raise InputError(f"{path.name} is no ONNX file: there is no graph in it")


def _initializers(file: BinaryIO, path: Path) -> Iterator[protobuf_fields.Field]:
    graph = _graph(file, path)
    return (
        f for f in protobuf_fields.fields(file, graph.start, graph.end) if f.number == _INITIALIZER
    )


def _name(file: BinaryIO, tensor: protobuf_fields.Field) -> str:
    for one in protobuf_fields.fields(file, tensor.start, tensor.end):
        if one.number == _NAME:
            return _bytes(file, one.start, one.end).decode()
    return ""


def _bytes(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)
