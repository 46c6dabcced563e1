"""How fast photos are embedded, compared with two common ways in Keras and with the parts of it.

    python benchmarks/embedding.py [--weights mobilenet_v2_1.0_224.weights.h5] [--rounds 5]

Prints a Markdown table. The photos are generated: small JPEGs of 300 × 200, and JPEGs of twelve
megapixels. The ways take turns, so that other load on the machine affects all of them alike. The
table has medians and quartiles, in milliseconds per picture of wall-clock time and of processor
time over all cores. Milliseconds depend on the machine, ratios hardly. Without `--weights`,
MobileNetV2 1.0 has random weights, which are as fast.

The parts are what no way of embedding with these libraries can avoid, each measured alone in the
same rounds, without our code: Pillow decodes a file's bytes (reduced by the factor that pocketknn
uses), Pillow resizes the middle square, and LiteRT runs the network. pocketknn takes eight photos
at a time through all of these on one thread, in as many threads as there are cores. Each part runs
over all photos in the same way, so its wall-clock time is that of as many cores as it can keep
busy: this is measured, and nothing is divided by a number of cores. The last columns are the
medians of the parts, and pocketknn's time relative to the sum of the parts in the same round.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import summary
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from photographs import photographs
from PIL import Image
from summary import Ratio

from pocketknn.builder import Backbone, Spec, embed, find, load_backbone
from pocketknn.builder.backbones.engines.conversion import convert
from pocketknn.builder.backbones.engines.engine import TOGETHER
from pocketknn.builder.photos.pixels.decode import _reduction as reduction
from pocketknn.builder.system.container import cores

SIZES = {"300 × 200": (300, 200), "4000 × 3000": (4000, 3000)}
OURS, ONE_BY_ONE, BATCHED = "pocketknn", "Keras predict, one by one", "tf.data and predict"
PARTS = ("decode", "resize", "network")
Way = Callable[[list[Path], Backbone], object]
A = TypeVar("A")


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


def parts(paths: list[Path], backbone: Backbone) -> dict[str, Callable[[], None]]:
    """Each part of embedding, by itself."""
    size = backbone.size
    network = backbone.graph() if backbone.graph else convert(backbone)
    own = threading.local()

    def decode(content: bytes) -> Image.Image:
        with Image.open(io.BytesIO(content)) as image:
            scale = reduction(image.size, size)
            image.draft(None, (image.width // scale, image.height // scale))
            image.load()
            return image

    def resize(image: Image.Image) -> NDArray[np.uint8]:
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box))

    def run(picture: NDArray[np.float32]) -> None:
        if not hasattr(own, "interpreter"):
            own.interpreter = Interpreter(model_content=network, num_threads=1)
            (image,) = own.interpreter.get_input_details()
            own.interpreter.resize_tensor_input(image["index"], picture.shape)
            own.interpreter.allocate_tensors()
        (image,) = own.interpreter.get_input_details()
        own.interpreter.set_tensor(image["index"], picture)
        own.interpreter.invoke()

    contents = [path.read_bytes() for path in paths]
    images = [decode(content) for content in contents]
    pictures = [resize(image)[None].astype(np.float32) for image in images]
    workers = ThreadPoolExecutor(cores())  # kept, with their interpreters

    def every(work: Callable[[A], object], given: Sequence[A]) -> None:
        def some(start: int) -> None:
            for one in given[start : start + TOGETHER]:
                work(one)

        for _ in workers.map(some, range(0, len(given), TOGETHER)):
            pass

    return {
        "decode": lambda: every(decode, contents),
        "resize": lambda: every(resize, images),
        "network": lambda: every(run, pictures),
    }


def milliseconds(run: Callable[[], object], count: int) -> tuple[float, float]:
    """Milliseconds per picture: wall-clock time, and processor time over all cores."""
    clock, cpu = time.perf_counter(), time.process_time()
    run()
    seconds = time.perf_counter() - clock, time.process_time() - cpu
    return 1000 * seconds[0] / count, 1000 * seconds[1] / count


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", type=Path, help="of MobileNetV2 1.0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--count", type=int, default=64, help="number of small photos; a quarter as many large ones"
    )
    summary.option(parser)
    given = parser.parse_args()
    ratios: list[Ratio] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["POCKETKNN_CACHE"] = str(folder / "cache")  # random weights are used only once
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
        columns = ["backbone", "photos", "time", *WAYS, "faster by", "decode + resize + network"]
        print("| " + " | ".join([*columns, "pocketknn / these"]) + " |")
        print("|---" * (len(columns) + 1) + "|")
        for shape, pixels in SIZES.items():
            count = given.count if pixels[0] < 1000 else max(4, given.count // 4)
            paths = photographs(folder / shape, pixels, count)
            for title, backbone in backbones.items():
                for way in WAYS.values():
                    way(paths[:4], backbone)  # open and trace networks before timing
                runs: dict[str, Callable[[], object]] = {
                    name: partial(way, paths, backbone) for name, way in WAYS.items()
                }
                runs |= parts(paths, backbone)
                times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
                for _ in range(given.rounds):
                    for name, run in runs.items():
                        times[name].append(milliseconds(run, count))
                for number, kind in enumerate(("wall", "processor")):
                    each = {
                        name: np.array([both[number] for both in found])
                        for name, found in times.items()
                    }
                    print(f"| {title} | {shape} | {kind} | {row(each)} |", flush=True)
                    ratios += measured(each, f"embedding, {title}, {shape}, {kind} time")
    summary.add(given.summary, ratios)


Times = dict[str, NDArray[np.float64]]  # milliseconds of each round


def row(times: Times) -> str:
    """Medians and quartiles of each way, and the medians over the rounds of ratios."""
    cells = []
    for way in WAYS:
        low, middle, high = np.quantile(times[way], (0.25, 0.5, 0.75))
        cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
    *others, parts = (one.ratio for one in measured(times, ""))
    cells.append(" and ".join(f"{1 / ratio:.1f}" for ratio in others))
    cells.append(" + ".join(f"{np.median(times[part]):.2f}" for part in PARTS))
    return " | ".join([*cells, f"{parts:.2f}"])


def measured(times: Times, what: str) -> list[Ratio]:
    """Our time relative to the other ways', and to the sum of its parts."""
    others = {way: times[way] for way in (ONE_BY_ONE, BATCHED)}
    others[" + ".join(PARTS)] = np.sum([times[part] for part in PARTS], axis=0)
    return [
        Ratio(what, name, float(np.median(times[OURS] / other))) for name, other in others.items()
    ]


if __name__ == "__main__":
    main()
