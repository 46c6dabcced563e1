"""Last step of the recipe: the network as TFLite without its numbers, for use without TensorFlow.

    python graph.py mobilenet_v2_0.5_96.tflite

The official converter makes it from the Keras model. Its weights, which have the batch
normalisation folded in, are recognised among those that `pocketknn.builder.shipped` folds; they
get the names of these, and are left out of the file, as they follow from the `.npz`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

from pocketknn.builder import Spec, load_backbone
from pocketknn.builder.converted import convert
from pocketknn.builder.shipped import folded

CLOSE = 1e-5  # of the largest value: the converter folds in another order


def main(path: Path) -> None:
    """Write the file; fail where a weight is not recognised."""
    model = schema.ModelT.InitFromPackedBuf(convert(load_backbone(Spec(backbone="bundled"))), 0)
    numbers = folded()
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
