"""The recipe's last step: write a network as TFLite without weights, for use without TensorFlow.

    python graph.py bundled mobilenet_v2_0.5_96.tflite
    python graph.py efficientnet_lite0 efficientnet_lite0.tflite

The official converter makes it from the Keras model, with batch normalisation folded in. Its
tensors are matched by value with those that `backbones.networks.weightless_graphs` computes from
the weights. They get the same names, and their values are left out of the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

from pocketknn.builder import Spec, load_backbone
from pocketknn.builder.backbones.engines.conversion import convert
from pocketknn.builder.backbones.networks.weightless_graphs import folded

CLOSE = 1e-5  # tolerance, relative to the largest value: the converter folds in another order


def main(name: str, path: Path) -> None:
    """Write the file of a backbone; fail if a weight has no match."""
    backbone = load_backbone(Spec(backbone=name))
    model = schema.ModelT.InitFromPackedBuf(convert(backbone), 0)
    numbers = folded(by_name(backbone.model))
    for number, tensor in enumerate(model.subgraphs[0].tensors):
        tensor.name = f"tensor {number}".encode()
        data = model.buffers[tensor.buffer].data
        if data is None or tensor.type != schema.TensorType.FLOAT32 or len(data) == 4:
            continue
        values = np.frombuffer(bytes(data), np.float32).reshape(tensor.shape)
        (name,) = (
            name
            for name, ours in numbers.items()
            if ours.shape == values.shape
            and np.abs(ours - values).max() < CLOSE * np.abs(ours).max()
        )
        del numbers[name]
        tensor.name = name.encode()
        model.buffers[tensor.buffer].data = None
    if numbers:
        raise SystemExit(f"not in the converter's file: {', '.join(numbers)}")
    model.metadata, model.metadataBuffer = None, None
    builder = Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())


def by_name(model: keras.Model) -> dict[str, np.ndarray]:
    """All weights by `layer/variable`, in Keras' order."""
    (net,) = (layer for layer in model.layers if hasattr(layer, "layers"))
    return {
        f"{layer.name}/{one.name}": np.asarray(one) for layer in net.layers for one in layer.weights
    }


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
