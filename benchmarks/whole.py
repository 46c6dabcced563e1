"""Whole processes of the command line, relative to what no process with Keras can avoid.

    python benchmarks/whole.py [--rounds 5] [--photos FOLDER] [--against FOLDER]

Prints Markdown tables of wall-clock time, processor time over all cores, and peak memory of the
largest process; medians, with the smallest and largest. Each round runs everything once, so that
other load on the machine affects all alike. A ratio is that of one round.

"Keras alone" is a process that imports Keras with TensorFlow, without the packages that these
import only if they are installed, opens the built model.keras, and calls it once. "LiteRT alone"
imports numpy, Pillow and LiteRT, decodes the photo, and runs the built model.tflite once: no
`predict` can take less.

Photos are generated: 200 small JPEGs in five classes, and as many others for `eval`. With
`--photos`, `eval` gets the same photos as `build`. `--against` adds another version of pocketknn to
each round: a folder for PYTHONPATH, such as one that `pip install --no-deps --target` has filled.
The caches are in a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import summary
from photographs import photographs
from processes import Taken, pocketknn, script, timed
from summary import Ratio

KERAS_ALONE = """
import gc, os, sys
gc.disable()
optional = ("IPython", "cv2", "matplotlib", "pandas", "scipy", "sklearn")
sys.modules.update(dict.fromkeys(optional))  # None: as if not installed
import keras, numpy
model = keras.saving.load_model(sys.argv[1], compile=False)
(image,) = model.inputs
model(numpy.zeros((1, *image.shape[1:]), numpy.float32), training=False)
os._exit(0)
"""
LITERT_ALONE = """
import os, sys
import numpy
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
(image,) = interpreter.get_input_details()
photo = Image.open(sys.argv[2]).convert("RGB")
photo = photo.resize(image["shape"][1:3], Image.Resampling.BILINEAR)
interpreter.set_tensor(image["index"], numpy.asarray(photo, numpy.float32)[None])
interpreter.invoke()
for output in interpreter.get_output_details():
    interpreter.get_tensor(output["index"])
os._exit(0)
"""
UNIT, FLOOR = "Keras alone", "LiteRT alone"
FIRST, AGAIN = "build, empty cache", "build, again"
PREDICT = "predict, TFLite"
CLASSES, PER_CLASS = 5, 40
SUFFIX = "jpg", "jpeg", "png", "webp"


class Version(NamedTuple):
    """A version of pocketknn.

    Attributes:
        name: its name in the tables.
        folder: for its builds and its cache.
        path: what to put in front of PYTHONPATH; None for nothing.
    """

    name: str
    folder: Path
    path: Path | None

    @property
    def built(self) -> Path:
        """The folder of its latest build."""
        return self.folder / "built"

    def run(self, *words: str | Path) -> Taken:
        """Run a command with its own cache."""
        environment = {"POCKETKNN_CACHE": str(self.folder / "cache")}
        if self.path:
            before = os.environ.get("PYTHONPATH")
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(self.path), before)))
        return timed(pocketknn(*words), self.folder, **environment)

    def build(self, photos: Path, backbone: str) -> Taken:
        """Build all formats and the report, in place of the earlier build."""
        words = ("build", photos, "--out", self.built, "--backbone", backbone, "--force")
        return self.run(*words)

    def empty(self) -> None:
        """Empty its cache."""
        shutil.rmtree(self.folder / "cache", ignore_errors=True)


Times = dict[tuple[str, str], list[Taken]]  # by command and version


def generated(folder: Path, seed: int) -> Path:
    """Photos in a folder for each class."""
    for subject in range(CLASSES):
        photographs(
            folder / f"class {subject}",
            (300, 200),
            PER_CLASS,
            seed=seed + subject,
            subject=subject,
        )
    return folder


def one_round(
    versions: Sequence[Version], photos: Path, others: Path, backbone: str
) -> Iterator[tuple[str, str, Taken]]:
    """Run everything once, and give command, version and what it took."""
    for one in versions:
        one.empty()
        yield FIRST, one.name, one.build(photos, backbone)
        yield AGAIN, one.name, one.build(photos, backbone)
    photo = min(path for path in others.rglob("*") if path.suffix[1:].lower() in SUFFIX)
    (ours,) = (one for one in versions if one.path is None)
    keras, tflite = ours.built / "model.keras", ours.built / "model.tflite"
    yield UNIT, "", timed(script(KERAS_ALONE, keras), ours.folder)
    yield FLOOR, "", timed(script(LITERT_ALONE, tflite, photo), ours.folder)
    for one in versions:
        yield PREDICT, one.name, one.run("predict", one.built / "model.tflite", photo)
        yield "predict, Keras", one.name, one.run("predict", one.built / "model.keras", photo)
        yield "eval", one.name, one.run("eval", one.built, others)
        yield "verify", one.name, one.run("verify", one.built)


def cell(values: Sequence[float], digits: int) -> str:
    """The median, and the smallest and largest."""
    middle, low, high = (f"{f(values):,.{digits}f}" for f in (np.median, min, max))
    return f"{middle} ({low} to {high})"


def divided(times: Sequence[Taken], by: Sequence[Taken], field: str) -> list[float]:
    """The ratio of each round."""
    pairs = zip(times, by, strict=True)
    return [getattr(one, field) / getattr(other, field) for one, other in pairs]


def table(times: Times, names: Sequence[str], field: str, unit: str) -> list[str]:
    """A Markdown table of one measure; with two versions, the last column compares them."""
    columns = [field]
    for name in names:
        columns += [f"{name}, {unit}", f"/ {UNIT}"]
    if len(names) > 1:
        columns.append(" / ".join(names))
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    base, digits = times[UNIT, ""], 0 if unit == "MB" else 2
    for alone in (UNIT, FLOOR):
        found = times[alone, ""]
        cells = [cell([getattr(one, field) for one in found], digits)]
        cells.append(cell(divided(found, base, field), 2))
        lines.append(f"| {alone} | {' | '.join(cells)} |" + " |" * (len(columns) - 3))
    for command in dict.fromkeys(command for command, name in times if name):
        cells, each = [], [times[command, name] for name in names]
        for found in each:
            cells.append(cell([getattr(one, field) for one in found], digits))
            cells.append(cell(divided(found, base, field), 2))
        if len(each) > 1:
            cells.append(cell(divided(each[0], each[1], field), 2))
        lines.append(f"| {command} | {' | '.join(cells)} |")
    return lines


def ratios(times: Times, name: str) -> Iterator[Ratio]:
    """What the summary of all benchmarks shows of a version."""
    for command in (command for command, whose in times if whose == name):
        alone = FLOOR if command == PREDICT else UNIT
        for field in ("wall", "processor"):
            ratio = np.median(divided(times[command, name], times[alone, ""], field))
            yield Ratio(f"{command}, {field} time", f"a process with {alone}", float(ratio))
    peak = np.median(divided(times[FIRST, name], times[UNIT, ""], "peak"))
    yield Ratio(f"{FIRST}, peak memory", f"a process with {UNIT}", float(peak))


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=Path, help="a folder with a folder for each class")
    parser.add_argument("--backbone", default="bundled")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, help="a folder with another version of pocketknn")
    summary.option(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        versions = [Version("this", folder / "this", None)]
        if given.against:
            versions.append(Version("other", folder / "other", given.against.resolve()))
        for one in versions:
            one.folder.mkdir()
        if given.photos:
            photos = others = given.photos.resolve()
        else:
            photos, others = generated(folder / "photos", 0), generated(folder / "others", 100)
        for one in versions:
            one.build(photos, given.backbone)  # not timed: files are read for the first time
        times: Times = {}
        for number in range(given.rounds):
            order = versions[:: 1 if number % 2 else -1]
            for command, whose, taken in one_round(order, photos, others, given.backbone):
                times.setdefault((command, whose), []).append(taken)
            print(f"round {number + 1} of {given.rounds} done", file=sys.stderr, flush=True)
    about = f"Keras {version('keras')}, TensorFlow {version('tensorflow')}"
    print(f"{os.cpu_count()} cores, {given.rounds} rounds, {given.backbone}, {about}")
    names = [one.name for one in versions]
    for field, unit in (("wall", "s"), ("processor", "s"), ("peak", "MB")):
        print("\n" + "\n".join(table(times, names, field, unit)), flush=True)
    found = divided(times[PREDICT, "this"], times[FLOOR, ""], "wall")
    found_too = divided(times[PREDICT, "this"], times[FLOOR, ""], "processor")
    print(f"\n{PREDICT} / {FLOOR}: {cell(found, 2)} by the clock, {cell(found_too, 2)} processor")
    summary.add(given.summary, ratios(times, "this"))


if __name__ == "__main__":
    main()
