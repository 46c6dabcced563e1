"""ONNX: for services, desktops and browsers."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError, first_line

from . import canonical, quantize, wire
from .graph import serving_function
from .metadata import Metadata
from .target import Outputs, Run

if TYPE_CHECKING:
    import keras
    import onnx

SUFFIX = ".onnx"
PRECISION = "float32"
PRECISIONS: tuple[str, ...] = ("float32", "float16", "int8")
THREADS = True
OPSET = 17
_PREFIX = "pocketknn."
_METADATA_PROPS = 14  # of ModelProto in onnx.proto
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
    metadata: Metadata,
    precision: str,
    calibration: NDArray[Any] | None = None,
) -> None:
    """Convert with tf2onnx, check in full, and keep the metadata in `metadata_props`.

    The graph takes any number of inputs at once, and has operators of ai.onnx only.
    """
    import onnx
    import tf2onnx

    serve = serving_function(model, batch=None, pixels=metadata.manifest["input"]["dtype"])
    proto, _ = tf2onnx.convert.from_function(
        serve, input_signature=serve.input_signature, opset=OPSET
    )
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"  # tf2onnx names it unk__<number>
    _share_table(proto)
    del proto.graph.value_info[:]
    if precision == "float16":
        proto = quantize.onnx_half(proto)
    elif precision == "int8":
        pictures = quantize.check_calibration(calibration)
        proto = quantize.onnx_int8(proto, pictures.astype(metadata.manifest["input"]["dtype"]))
    _drop_unused_domains(proto)
    canonical.onnx_graph(proto.graph)
    _introduce(proto, metadata)
    own = {_PREFIX + name: text for name, text in metadata.files(_graph(proto)).items()}
    onnx.helper.set_model_props(proto, _properties(metadata.manifest) | own)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save_model(proto, path)


def read(path: Path) -> Metadata:
    """Read the metadata from `metadata_props`, and nothing else of the file."""
    try:
        with path.open("rb") as file:
            props = wire.texts(file, 0, path.stat().st_size, _METADATA_PROPS)
    except (ValueError, OSError) as error:
        raise InputError(f"{path.name} is no ONNX file: {first_line(error)}") from error
    own = {k.removeprefix(_PREFIX): v for k, v in props.items() if k.startswith(_PREFIX)}
    return Metadata.parse(own, path.name)


def load(path: Path, threads: int | None = None) -> Run:
    """Open the file in onnxruntime."""
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    # onnxruntime's exceptions have no common base but Exception.
    refusals = (state.Fail, state.InvalidGraph, state.InvalidProtobuf, state.RuntimeException)
    proto = _open(path)
    metadata = read(path)
    metadata.check_seal(_graph(proto), path.name)
    how = ort.SessionOptions()
    if threads is not None:
        how.intra_op_num_threads = threads
    try:
        session = ort.InferenceSession(path, how, providers=["CPUExecutionProvider"])
    except (*refusals, state.NotImplemented, state.InvalidArgument) as error:
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


def _share_table(proto: onnx.ModelProto) -> None:
    """Multiply by a table where its transpose is stored too: the same sums with half the bytes.

    The Euclidean search selects with the references and looks them up; tf2onnx stores both ways.
    """
    from onnx import helper, numpy_helper, shape_inference

    graph = proto.graph
    tables = {t.name: numpy_helper.to_array(t) for t in graph.initializer if len(t.dims) == 2}
    products = [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in tables]
    twins = [
        (node, name)
        for node in products
        for name, table in tables.items()
        if name != node.input[1] and _same_bits(table, tables[node.input[1]].T)
    ]
    if not twins:
        return
    values = (*graph.input, *shape_inference.infer_shapes(proto).graph.value_info)
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
    replaced = {node.input[1] for node, _ in twins}
    for node, name in twins:
        if ranks.get(node.input[0]) == 2:  # Gemm takes matrices only, MatMul stacks of them too
            operands = (node.input[0], name)
            node.CopyFrom(helper.make_node("Gemm", operands, node.output, node.name, transB=1))
    unused = replaced - {name for node in graph.node for name in node.input}
    kept = [table for table in graph.initializer if table.name not in unused]
    del graph.initializer[:]
    graph.initializer.extend(kept)


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
    said = {name: manifest[name] for name in ("author", "license", "version", "description")}
    said |= {"task": manifest["head"], "k": str(manifest["k"]), "metric": manifest["metric"]}
    if manifest["labels"]:
        names = {str(number): label for number, label in enumerate(manifest["labels"])}
        said["names"] = json.dumps(names, ensure_ascii=False)
    if given["name"] == "image":
        said |= {"imgsz": json.dumps(given["shape"][:2]), "crop": given["crop"]}
        said |= {"backbone": manifest["backbone"]["name"]} | _PIXELS
    return {name: text for name, text in said.items() if text}


def _open(path: Path) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return onnx.load_model(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise InputError(f"{path.name} is no ONNX file: {first_line(error)}") from error


def _graph(proto: onnx.ModelProto) -> bytes:
    content: bytes = proto.graph.SerializeToString(deterministic=True)
    return content
