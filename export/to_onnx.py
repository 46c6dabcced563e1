"""ONNX: for services, desktops and browsers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError, first_line

from .graph import serving_function
from .metadata import Metadata
from .target import Outputs, Run

if TYPE_CHECKING:
    import keras
    import onnx

SUFFIX = ".onnx"
PRECISION = "float32"
OPSET = 17
_PREFIX = "pocketknn."


def convert(model: keras.Model, path: Path, metadata: Metadata, precision: str) -> None:
    """Convert with tf2onnx, check in full, and keep the metadata in `metadata_props`."""
    import onnx
    import tf2onnx

    serve = serving_function(model, batch=None)
    proto, _ = tf2onnx.convert.from_function(
        serve, input_signature=serve.input_signature, opset=OPSET
    )
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"  # tf2onnx names it unk__<number>
    del proto.graph.value_info[:]
    onnx.helper.set_model_props(
        proto, {_PREFIX + name: text for name, text in metadata.files(_graph(proto)).items()}
    )
    onnx.checker.check_model(proto, full_check=True)
    onnx.save_model(proto, path)


def read(path: Path) -> Metadata:
    """Read the metadata from `metadata_props`."""
    return _metadata(_open(path), path)


def load(path: Path) -> Run:
    """Open the file in onnxruntime."""
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    # onnxruntime's exceptions have no common base but Exception.
    refusals = (state.Fail, state.InvalidGraph, state.InvalidProtobuf, state.RuntimeException)
    proto = _open(path)
    metadata = _metadata(proto, path)
    metadata.check_seal(_graph(proto), path.name)
    try:
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    except (*refusals, state.NotImplemented, state.InvalidArgument) as error:
        raise InputError(f"{path.name} is refused by onnxruntime: {first_line(error)}") from error
    (feed,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    # Manhattan's differences to all references are made for each input of a batch.
    together = 32 if metadata.manifest["metric"] in ("cosine", "euclidean") else 1

    def run(batch: NDArray[Any]) -> Outputs:
        blocks = [
            session.run(names, {feed.name: batch[start : start + together].astype(np.float32)})
            for start in range(0, len(batch), together)
        ]
        return {n: np.concatenate(b) for n, b in zip(names, zip(*blocks, strict=True), strict=True)}

    return run


def _open(path: Path) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return onnx.load_model(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise InputError(f"{path.name} is no ONNX file: {first_line(error)}") from error


def _metadata(proto: onnx.ModelProto, path: Path) -> Metadata:
    props = {prop.key: prop.value for prop in proto.metadata_props}
    files = {k.removeprefix(_PREFIX): v for k, v in props.items() if k.startswith(_PREFIX)}
    return Metadata.parse(files, path.name)


def _graph(proto: onnx.ModelProto) -> bytes:
    content: bytes = proto.graph.SerializeToString(deterministic=True)
    return content
