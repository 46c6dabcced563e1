"""The bundled backbone without Keras: its weights, their names, and the network as TFLite."""

from __future__ import annotations

import io
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

ALPHA, SIZE, DIM = 0.5, 96, 1280
WEIGHTS = f"mobilenet_v2_{ALPHA}_{SIZE}.npz"
# The network as the official converter writes it, but without numbers: `bundled/graph.py` made it.
_GRAPH = f"mobilenet_v2_{ALPHA}_{SIZE}.tflite"
_EPSILON = 1e-3  # of the batch normalisation in Keras' MobileNets
_OF_A_CONVOLUTION = 5  # kernel, gamma, beta, moving mean, moving variance, in this order

Floats = NDArray[np.float32]


@cache
def content() -> bytes:
    """The weights file."""
    return _read(WEIGHTS)


def weights() -> dict[str, Floats]:
    """All weights by `layer/variable`, in Keras' order."""
    with np.load(io.BytesIO(content()), allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.float32) for name in arrays}


@cache
def tflite() -> bytes:
    """The network as float32 TFLite, (1, SIZE, SIZE, 3) pixels 0..255 to (1, d).

    Its input may be resized to any size that MobileNetV2 takes.
    """
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import Builder

    model = schema.ModelT.InitFromPackedBuf(_read(_GRAPH), 0)
    numbers = folded()
    for tensor in model.subgraphs[0].tensors:
        if tensor.name.decode() in numbers:
            data = numbers[tensor.name.decode()]
            model.buffers[tensor.buffer].data = np.frombuffer(data.tobytes(), np.uint8)
    builder = Builder(1 << 22)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def folded() -> dict[str, Floats]:
    """Kernel and bias of each convolution, as TFLite wants them: the batch normalisation inside.

    Kernels are (out, H, W, in), for a depthwise convolution (1, H, W, channels).
    """
    arrays = list(weights().items())
    found = {}
    for start in range(0, len(arrays), _OF_A_CONVOLUTION):
        (name, kernel), *rest = arrays[start : start + _OF_A_CONVOLUTION]
        gamma, beta, mean, variance = (values for _, values in rest)
        scale = gamma / np.sqrt(variance + np.float32(_EPSILON))
        depthwise = kernel.shape[-1] == 1
        scaled = kernel * (scale[:, None] if depthwise else scale)
        layer = name.removesuffix("/kernel")
        found[f"{layer}/kernel"] = np.ascontiguousarray(scaled.transpose(3, 0, 1, 2))
        found[f"{layer}/bias"] = beta - mean * scale
    return found


def _read(name: str) -> bytes:
    return files(__package__).joinpath("bundled", name).read_bytes()
