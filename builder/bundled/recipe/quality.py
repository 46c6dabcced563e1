"""The quality table: accuracy of five neighbours on classes that no model was trained on.

    python quality.py --data DATA_DIR --ours OURS.npz --first FIRST.npz > quality.md

DATA_DIR holds `caltech101/` and `flowers/` (one folder per class), `fashion_mnist.npz` and
`weights/`. The digits come with scikit-learn. Every picture is cropped to its centre square and
resized with Pillow (bilinear). Each picture is then classified by its neighbours among all the
others (leave-one-out, cosine similarity of pooled embeddings; ties go to the lower class
index). Models whose weights are not given or not found are left out.

Sets: Caltech 101, every class folder except BACKGROUND_Google; flowers; scikit-learn digits, the
first 40 of each class; Fashion-MNIST, the first 200 test pictures of each class.
"""

# ruff: noqa: ANN401 (Keras comes without types)
from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from common import leave_one_out, load
from PIL import Image

from pocketknn.builder import Spec, load_backbone
from pocketknn.builder.backbones.efficientnet_lite import LITES
from pocketknn.builder.backbones.load import is_installed

Array = np.ndarray[Any, Any]
Set = tuple[list[Image.Image], Array]
PIXELS = 56


def folder_set(folder: Path) -> Set:
    """Pictures from one folder per class, sorted by name."""
    pictures: list[Image.Image] = []
    labels: list[int] = []
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and p.name != "BACKGROUND_Google")
    for number, kind in enumerate(classes):
        for path in sorted(kind.iterdir()):
            with Image.open(path) as image:
                pictures.append(image.convert("RGB"))
            labels.append(number)
    return pictures, np.array(labels)


def grey_set(arrays: Array, labels: Array, each: int) -> Set:
    """The first `each` pictures of every class of an array of grey pictures (0 to 255)."""
    rows = np.concatenate([np.flatnonzero(labels == c)[:each] for c in np.unique(labels)])
    pictures = [Image.fromarray(arrays[r].astype(np.uint8)).convert("RGB") for r in rows]
    return pictures, labels[rows]


def sets(data: Path) -> Iterator[tuple[str, Set]]:
    """All available sets, by name."""
    from sklearn.datasets import load_digits

    for name, title in (("caltech101", "Caltech 101, 30 × 40"), ("flowers", "flowers, 5 × 40")):
        if (data / name).is_dir():
            yield title, folder_set(data / name)
    digits = load_digits()
    yield "digits, 10 × 40", grey_set(np.round(digits.images * 255 / 16), digits.target, 40)
    if (data / "fashion_mnist.npz").exists():
        with np.load(data / "fashion_mnist.npz") as fashion:
            chosen = grey_set(fashion["x_test"], fashion["y_test"], 200)
        yield "Fashion-MNIST, 10 × 200", chosen


def squares(pictures: list[Image.Image], size: int) -> Array:
    """The centre squares at size x size, scaled to [-1, 1]."""
    out = np.empty((len(pictures), size, size, 3), np.float32)
    for i, picture in enumerate(pictures):
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        image = picture.crop((left, top, left + side, top + side))
        out[i] = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
    return out / 127.5 - 1.0


def stored_model(path: Path, size: int) -> Any:
    """The stock MobileNetV2 with the weights of an .npz in the format of the bundled file."""
    with np.load(path) as arrays:
        alpha = {112: 0.35, 160: 0.5}[arrays["block_16_project/kernel"].shape[-1]]
    model = keras.applications.MobileNetV2(
        input_shape=(size, size, 3), alpha=alpha, include_top=False, pooling="avg", weights=None
    )
    load(model, path)
    return model


def embedding(model: Any) -> Callable[[Array], Array]:
    """Pooled features of a batch of pictures."""
    return lambda x: np.asarray(model.predict(x, batch_size=32, verbose=0)).reshape(len(x), -1)


def packaged(name: str) -> Callable[[Array], Array]:
    """Pooled features from a backbone of the package, which takes pixels from 0 to 255."""
    run = embedding(load_backbone(Spec(backbone=name)).model)
    return lambda x: run((x + 1.0) * 127.5)


def pixels(x: Array) -> Array:
    """The pixels of each picture as one vector, scaled to 0..1."""
    return (x.reshape(len(x), -1) + 1.0) / 2.0


Maker = Callable[[], Callable[[Array], Array]]


def models(options: argparse.Namespace) -> Iterator[tuple[str, int, Maker]]:
    """The name, the picture size and a function that loads the model, for each row of the table."""
    weights = options.data / "weights"
    size = options.size
    if options.ours:
        digest = hashlib.sha256(options.ours.read_bytes()).hexdigest()[:12]
        yield f"ours ({digest})", size, lambda: embedding(stored_model(options.ours, size))
    if options.first:
        yield "first version", 96, lambda: embedding(stored_model(options.first, 96))
    teacher = weights / "mobilenet_v2_1.0_224_no_top.weights.h5"

    def make_teacher() -> Callable[[Array], Array]:
        model = keras.applications.MobileNetV2(
            input_shape=(224, 224, 3), include_top=False, pooling="avg", weights=None
        )
        model.load_weights(teacher)
        return embedding(model)

    if teacher.exists():
        yield "teacher: MobileNetV2 1.0", 224, make_teacher
    rival = weights / "mobilenet_v1_0.25_224.weights.h5"

    def make_rival() -> Callable[[Array], Array]:
        model = keras.applications.MobileNet(
            input_shape=(224, 224, 3), alpha=0.25, weights=None, classes=1000
        )
        model.load_weights(rival)
        pooled = next(
            la for la in model.layers if isinstance(la, keras.layers.GlobalAveragePooling2D)
        )
        return embedding(keras.Model(model.inputs, pooled.output))

    if rival.exists():
        yield "ImageNet MobileNetV1 0.25", 224, make_rival
    for name, lite in LITES.items():
        if is_installed(name):
            yield name, lite.size, partial(packaged, name)
    yield "raw pixels", PIXELS, lambda: pixels


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ours", type=Path, help="the .npz to evaluate")
    parser.add_argument("--size", type=int, default=96, help="its picture size")
    parser.add_argument("--first", type=Path, help="the .npz of the first version")
    parser.add_argument("--only-ours", action="store_true", help="print only its row")
    options = parser.parse_args()
    tasks = list(sets(options.data))
    print("Leave-one-out accuracy of 5 neighbours (of 1 neighbour), cosine, centre square.\n")
    print("| model | px | " + " | ".join(name for name, _ in tasks) + " |")
    print("|---|---|" + "---|" * len(tasks))
    for name, size, maker in models(options):
        if options.only_ours and not name.startswith("ours"):
            continue
        function = maker()
        cells = []
        for _, (pictures, labels) in tasks:
            features = function(squares(pictures, size)).astype(np.float64)
            five, one = (leave_one_out(features, labels, count)[0] for count in (5, 1))
            cells.append(f"{five:.3f} ({one:.3f})")
        print(f"| {name} | {size} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
