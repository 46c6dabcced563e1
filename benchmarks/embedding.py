"""How fast photos are embedded, compared with two common ways in Keras.

    python benchmarks/embedding.py [--weights mobilenet_v2_1.0_224.weights.h5] [--rounds 5]

Prints a Markdown table. The photos are generated: small JPEGs of 300 × 200, and JPEGs of twelve
megapixels. The ways take turns, so that other load on the machine affects all of them alike. The
table has medians and quartiles, in milliseconds per picture of wall-clock time and of processor
time over all cores. Milliseconds depend on the machine, ratios hardly. Without `--weights`,
MobileNetV2 1.0 has random weights, which are as fast.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from photographs import photographs

from pocketknn.builder import Backbone, Spec, embed, find, load_backbone
from pocketknn.builder.backbones.engines.engine import cores

SIZES = {"300 × 200": (300, 200), "4000 × 3000": (4000, 3000)}
OURS, ONE_BY_ONE, BATCHED = "pocketknn", "Keras predict, one by one", "tf.data and predict"
Way = Callable[[list[Path], Backbone], object]


def ours(paths: list[Path], backbone: Backbone) -> object:
    """As a build does it, without its cache."""
    return embed(find(paths[0].parent), backbone, "center")


def one_by_one(paths: list[Path], backbone: Backbone) -> object:
    """`load_img` and `predict`, as most tutorials do."""
    shape = (backbone.size, backbone.size)
    rows = []
    for path in paths:
        image = keras.utils.img_to_array(keras.utils.load_img(path, target_size=shape))
        rows.append(backbone.model.predict(image[None], verbose=0))
    return np.concatenate(rows)


def batched(paths: list[Path], backbone: Backbone) -> object:
    """`tf.data` on all cores, then `predict` in batches of 32."""

    def read(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(image, (backbone.size, backbone.size))

    files = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
    pictures = files.map(read, tf.data.AUTOTUNE).batch(32).prefetch(tf.data.AUTOTUNE)
    return backbone.model.predict(pictures, verbose=0)


WAYS: dict[str, Way] = {OURS: ours, ONE_BY_ONE: one_by_one, BATCHED: batched}


def milliseconds(way: Way, paths: list[Path], backbone: Backbone) -> tuple[float, float]:
    """Milliseconds per picture: wall-clock time, and processor time over all cores."""
    clock, cpu = time.perf_counter(), time.process_time()
    way(paths, backbone)
    seconds = time.perf_counter() - clock, time.process_time() - cpu
    return 1000 * seconds[0] / len(paths), 1000 * seconds[1] / len(paths)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", type=Path, help="of MobileNetV2 1.0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--count", type=int, default=64, help="number of small photos; a quarter as many large ones"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = given.weights
        if weights is None:
            weights = folder / "random.weights.h5"
            keras.applications.MobileNetV2(weights=None, include_top=False).save_weights(weights)
        backbones = {
            "MobileNetV2 1.0 at 224": load_backbone(Spec(backbone="mobilenet_v2", weights=weights)),
            "EfficientNet-Lite0 at 224": load_backbone(Spec(backbone="efficientnet_lite0")),
            "bundled at 96": load_backbone(Spec(backbone="bundled")),
        }
        print(f"{cores()} cores, {given.rounds} rounds\n")
        print(f"| backbone | photos | time | {' | '.join(WAYS)} | faster by |")
        print("|---" * (len(WAYS) + 4) + "|")
        for shape, pixels in SIZES.items():
            count = given.count if pixels[0] < 1000 else max(4, given.count // 4)
            paths = photographs(folder / shape, pixels, count)
            for title, backbone in backbones.items():
                times: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
                for way in WAYS.values():
                    way(paths[:4], backbone)  # open and trace networks before timing
                for _ in range(given.rounds):
                    for way, run in WAYS.items():
                        times[way].append(milliseconds(run, paths, backbone))
                for number, kind in enumerate(("clock", "all cores")):
                    cells = row({way: [both[number] for both in times[way]] for way in WAYS})
                    print(f"| {title} | {shape} | {kind} | {cells} |", flush=True)


def row(times: dict[str, list[float]]) -> str:
    """Medians and quartiles of each way, and the median over the rounds of its ratio to ours."""
    cells = []
    for values in times.values():
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
        cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
    ratios = [
        f"{np.median(np.divide(times[way], times[OURS])):.1f}" for way in (ONE_BY_ONE, BATCHED)
    ]
    return " | ".join([*cells, " and ".join(ratios)])


if __name__ == "__main__":
    main()
