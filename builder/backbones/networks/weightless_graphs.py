"""TFLite networks without the converter: weights are filled into prepared files at run time.

The files were made by `bundled/recipe/graph.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

_EPSILON = np.float32(1e-3)  # of the batch normalisation in MobileNets and EfficientNet-Lite
_OF_A_CONVOLUTION = 5  # kernel, gamma, beta, moving mean, moving variance, in this order

Floats = NDArray[np.float32]


def filled(name: str, weights: Mapping[str, Floats]) -> bytes:
    """A network as float32 TFLite, (1, size, size, 3) pixels 0..255 to (1, d).

    Its input may be resized to any size that the network supports.

    Args:
        name: the file in `bundled`.
        weights: all weights by `layer/variable`, in Keras' order.
    """
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import Builder

    content = files("pocketknn.builder").joinpath("bundled", name).read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    numbers = folded(weights)
    for tensor in model.subgraphs[0].tensors:
        if tensor.name.decode() in numbers:
            data = numbers[tensor.name.decode()]
            model.buffers[tensor.buffer].data = np.frombuffer(data.tobytes(), np.uint8)
    builder = Builder(1 << 22)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def folded(weights: Mapping[str, Floats]) -> dict[str, Floats]:
    """Kernel and bias of each convolution for TFLite, with the batch normalisation folded in.

    Kernels are (out, H, W, in), for a depthwise convolution (1, H, W, channels).
    """
    arrays = list(weights.items())
    found = {}
    for start in range(0, len(arrays), _OF_A_CONVOLUTION):
        (name, kernel), *rest = arrays[start : start + _OF_A_CONVOLUTION]
        gamma, beta, mean, variance = (values for _, values in rest)
        scale = gamma / np.sqrt(variance + _EPSILON)
        depthwise = kernel.shape[-1] == 1
        scaled = kernel * (scale[:, None] if depthwise else scale)
        layer = name.removesuffix("/kernel")
        found[f"{layer}/kernel"] = np.ascontiguousarray(scaled.transpose(3, 0, 1, 2))
        found[f"{layer}/bias"] = beta - mean * scale
    return found
