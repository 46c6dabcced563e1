"""The cost of a MobileNetV2 for each width (alpha) and picture size.

    python sizes.py

Prints a Markdown table: the convolutions' multiplications per picture, the size of the parameters
as float16, and milliseconds per picture as float32 TFLite on one thread. Times are medians, and the
networks take turns, so that other load affects all of them alike and the ratios hold on other
machines. The weights are random, which does not change the cost.
"""

# ruff: noqa: ANN401 (Keras comes without types)
from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from pocketknn.builder.backbones.engines.litert import Network

CHOICES = [(0.35, 96), (0.35, 128), (0.5, 96), (0.5, 128)]
ROUNDS = 300


def multiplications(model: Any) -> int:
    """Multiplications in all convolutions of a Keras model, for one picture."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            _, height, width, _ = layer.output.shape
            total += height * width * math.prod(layer.kernel.shape)
    return total


def network(model: Any, size: int) -> Network:
    """The model in LiteRT, on one thread."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        model.export(str(path), format="litert", verbose=False)
        return Network(path.read_bytes(), size)


def main() -> None:
    """Command line."""
    models = [
        keras.applications.MobileNetV2(
            input_shape=(size, size, 3), alpha=alpha, include_top=False, pooling="avg", weights=None
        )
        for alpha, size in CHOICES
    ]
    networks = [network(model, size) for model, (_, size) in zip(models, CHOICES, strict=True)]
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (1, size, size, 3), np.uint8) for _, size in CHOICES]
    times: list[list[float]] = [[] for _ in CHOICES]
    for _ in range(ROUNDS):
        for run, picture, spent in zip(networks, pictures, times, strict=True):
            started = time.perf_counter()
            run(picture)
            spent.append(time.perf_counter() - started)
    print("| alpha | px | million multiplications | MB as float16 | ms |\n|---|---|---|---|---|")
    for (alpha, size), model, spent in zip(CHOICES, models, times, strict=True):
        million, megabytes = multiplications(model) / 1e6, 2 * model.count_params() / 1e6
        median = statistics.median(spent) * 1e3
        print(f"| {alpha} | {size} | {million:.1f} | {megabytes:.2f} | {median:.2f} |")


if __name__ == "__main__":
    main()
