"""Step one of the recipe: decode the training pictures, and run the teacher on fixed crops.

    python prepare.py --data DISTILL_DIR --teacher WEIGHTS.h5 --work WORK_DIR

DISTILL_DIR holds `shard-*.npz` (`data`: encoded pictures end to end, `offsets`, `label`) and
`labels.json`. WORK_DIR receives

- `pictures.bin`, `index.npz`: all pictures decoded, RGB bytes end to end, with their sizes;
- `view-<v>.npz`: crops, each with the picture's `row`, its `box`, its `tone` (0 colour, 1 grey,
  2 grey negative) and the teacher's pooled features of exactly that crop (`feature`, float16);
- `places-<v>.npy`: the teacher's last feature map of each crop, averaged to 3 x 3 places and stored
  as bytes, 255 sqrt(value / 6).

View 0 has the centre square of every picture in colour. The other views have one random crop of
each picture, but ten of each picture in `samples/`, the only folder with a thousand kinds of
objects.

Existing files are kept, so an interrupted run resumes where it stopped. The teacher runs in LiteRT
if TensorFlow and ai-edge-litert are installed, otherwise in Keras.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import rich
from PIL import Image

Array = np.ndarray[Any, Any]


def decode(blob: bytes) -> Array:
    """One encoded picture as an RGB array (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(blob)).convert("RGB"))


def decode_all(data: Path, work: Path, processes: int) -> None:
    """Write `pictures.bin` and `index.npz`."""
    if (work / "index.npz").exists():
        return
    sizes: list[tuple[int, int]] = []
    labels: list[Array] = []
    with (work / "pictures.bin").open("wb") as out, multiprocessing.Pool(processes) as pool:
        for shard in sorted(data.glob("shard-*.npz")):
            with np.load(shard) as content:
                blob, offsets = content["data"].tobytes(), content["offsets"]
                labels.append(content["label"])
            parts = [blob[a:b] for a, b in itertools.pairwise(offsets)]
            for picture in pool.imap(decode, parts, chunksize=200):
                sizes.append((picture.shape[0], picture.shape[1]))
                out.write(picture.tobytes())
    hw = np.array(sizes, np.int64)
    off = np.concatenate([[0], np.cumsum(hw[:, 0] * hw[:, 1] * 3)])
    np.savez(work / "index.npz", hw=hw, off=off, label=np.concatenate(labels))


def centre_boxes(hw: Array) -> Array:
    """The centre square of every picture: left, top, right, bottom."""
    side = hw.min(axis=1)
    top, left = (hw[:, 0] - side) // 2, (hw[:, 1] - side) // 2
    return np.stack([left, top, left + side, top + side], axis=1).astype(np.float32)


def random_boxes(hw: Array, rng: np.random.Generator) -> Array:
    """Random crops: 35 to 100 % of the area (50 to 100 % of small pictures), nearly square."""
    least = np.where(hw.min(axis=1) < 100, 0.5, 0.35)
    area = hw[:, 0] * hw[:, 1] * rng.uniform(least, 1.0)
    aspect = np.exp(rng.uniform(np.log(0.8), np.log(1.25), len(hw)))
    width = np.minimum(np.sqrt(area * aspect), hw[:, 1])
    height = np.minimum(np.sqrt(area / aspect), hw[:, 0])
    # a wide picture cut to its full height would otherwise become a stretched crop
    width = np.minimum(width, height * 1.25)
    height = np.minimum(height, width * 1.25)
    left = rng.uniform(0, 1, len(hw)) * (hw[:, 1] - width)
    top = rng.uniform(0, 1, len(hw)) * (hw[:, 0] - height)
    return np.stack([left, top, left + width, top + height], axis=1).astype(np.float32)


def view_plan(view: int, hw: Array, often: Array, seed: int) -> dict[str, Array]:
    """The `row`, `box` and `tone` of each crop of one view, the same for the same seed.

    A picture marked in `often` has ten crops, others one. In the first view, all have one.
    """
    rows = np.arange(len(hw))
    if view == 0:
        return {"row": rows, "box": centre_boxes(hw), "tone": np.zeros(len(hw), np.uint8)}
    rng = np.random.default_rng([seed, view])
    rows = np.concatenate([rows, np.repeat(np.flatnonzero(often), 9)])
    boxes = random_boxes(hw[rows], rng)
    tones = rng.choice(3, len(rows), p=[0.9, 0.07, 0.03]).astype(np.uint8)
    return {"row": rows, "box": boxes, "tone": tones}


def cut(picture: Array, box: Array, tone: int, size: int) -> Array:
    """The crop `box` of a picture, resized to size x size (bilinear), in the given tone."""
    where = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    image = Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR, box=where)
    if tone:
        image = image.convert("L").convert("RGB")
    crop = np.asarray(image)
    return 255 - crop if tone == 2 else crop


class Store:
    """The decoded pictures (`pictures.bin`, `index.npz`) and their crops."""

    def __init__(self, work: Path) -> None:
        with np.load(work / "index.npz") as index:
            self.hw, self.off, self.label = index["hw"], index["off"], index["label"]
        self.names: list[str] = json.loads((work / "labels.json").read_text("utf-8"))
        self.pixels = np.memmap(work / "pictures.bin", np.uint8, "r")

    def picture(self, row: int) -> Array:
        """One picture as uint8 (height, width, 3)."""
        flat = np.asarray(self.pixels[self.off[row] : self.off[row + 1]])
        return flat.reshape(*self.hw[row], 3)

    def crop(self, view: dict[str, Array], inside: int, size: int) -> Array:
        """One crop of a view as uint8 (size, size, 3)."""
        picture = self.picture(int(view["row"][inside]))
        return cut(picture, view["box"][inside], int(view["tone"][inside]), size)


def teacher_function(weights: str, size: int) -> Callable[[Array], Array]:
    """A function from uint8 pictures (n, size, size, 3) to the teacher's last maps, float32."""
    import keras

    model = keras.applications.MobileNetV2(
        input_shape=(size, size, 3), include_top=False, weights=None
    )
    model.load_weights(weights)
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return lambda x: np.asarray(
            model.predict(x.astype(np.float32) / 127.5 - 1.0, batch_size=64, verbose=0)
        )
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "teacher.tflite")
        model.export(path, format="litert", verbose=False)
        interpreter = Interpreter(model_content=Path(path).read_bytes(), num_threads=1)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], [1, size, size, 3])
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]

    def maps(pictures: Array) -> Array:
        rows = []
        for picture in pictures:
            interpreter.set_tensor(source, picture[None].astype(np.float32) / 127.5 - 1.0)
            interpreter.invoke()
            rows.append(interpreter.get_tensor(target)[0].copy())
        return np.stack(rows)

    return maps


def thirds(side: int) -> Array:
    """The matrix (3, side) that averages `side` places into three, weighted by their overlap."""
    edges = np.arange(side + 1)
    cuts = np.linspace(0.0, side, 4)
    overlap = np.minimum(edges[1:], cuts[1:, None]) - np.maximum(edges[:-1], cuts[:-1, None])
    return np.asarray(np.maximum(overlap, 0.0) * 3.0 / side, np.float32)


def make_view(view: int, options: argparse.Namespace) -> str:
    """Compute and write one view; returns a line for the log."""
    path = options.work / f"view-{view}.npz"
    if path.exists():
        return f"view {view}: kept"
    started = time.monotonic()
    store = Store(options.work)
    teacher = teacher_function(options.teacher, options.size)
    plan = view_plan(view, store.hw, rich(store.label, store.names), options.seed)
    count = len(plan["row"])
    features = np.empty((count, 1280), np.float16)
    places = np.empty((count, 3, 3, 1280), np.uint8)
    for start in range(0, count, 256):
        span = slice(start, min(start + 256, count))
        crops = [store.crop(plan, i, options.size) for i in range(span.start, span.stop)]
        maps = teacher(np.stack(crops))
        features[span] = maps.mean(axis=(1, 2))
        down = thirds(maps.shape[1])
        coarse = np.einsum("ih,nhwc,jw->nijc", down, maps, down, optimize=True)
        places[span] = np.rint(255.0 * np.sqrt(np.clip(coarse / 6.0, 0.0, 1.0)))
    part = path.with_suffix(".part.npz")
    np.save(options.work / f"places-{view}.npy", places)
    np.savez(part, feature=features, **plan)
    part.replace(path)
    return f"view {view}: {time.monotonic() - started:.0f} s, mean {features.mean():.4f}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of shard-*.npz")
    parser.add_argument("--teacher", required=True, help="MobileNetV2 1.0 weights (.h5), no top")
    parser.add_argument("--work", type=Path, required=True, help="folder for the results")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--size", type=int, default=160, help="the teacher's picture size")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    decode_all(options.data, options.work, options.processes)
    names = json.loads((options.data / "labels.json").read_text("utf-8"))
    (options.work / "labels.json").write_text(json.dumps(names), "utf-8")
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.processes) as pool:
        tasks = [pool.apply_async(make_view, (v, options)) for v in range(options.views)]
        for task in tasks:
            print(task.get(), flush=True)


if __name__ == "__main__":
    main()
