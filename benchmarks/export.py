"""How much time and memory it takes to write files from cached templates, and to run Core ML's.

    python benchmarks/export.py [--backbone bundled] [--weights FILE] [--oracle]

The first table is about writing. The references are random; only the writing is timed, each size in
its own process, and compared with writing the matrix of references three times, without anything
else. With --oracle the official converters get the same references instead, as far as memory
allows.

The second table is about our Core ML evaluator (on a Mac, about Core ML) beside LiteRT, which take
turns: processor time of one picture on one thread, and wall-clock time of two pictures at once,
each on one of two threads. MobileNetV2 1.0 has random weights without --weights.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import summary
from summary import Ratio

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from pocketknn.builder.backbones.backbone import Backbone
    from pocketknn.builder.knn.fit import Fit
    from pocketknn.export.formats.protocol import Run
    from pocketknn.export.manifest.metadata import Metadata

FORMATS = ("tflite", "onnx", "coreml")
SIZES = (1_000, 10_000, 100_000)
RUN = {
    "bundled": "bundled at 96",
    "efficientnet_lite0": "EfficientNet-Lite0 at 224",
    "mobilenet_v2": "MobileNetV2 1.0 at 224",
}
PICTURES = 25


def main() -> None:
    """Print the tables: a row for each number of references, and one for each backbone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="bundled", help="of the files that are written")
    parser.add_argument("--weights", type=Path, help="of MobileNetV2 1.0, for the second table")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="of references")
    parser.add_argument("--oracle", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    summary.option(parser)
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(measure(given.one, given.backbone, given.oracle)))
    elif given.run:
        print(json.dumps(running(given.run, given.weights)))
    else:
        ratios = print_writing(given) + print_running(given)
        summary.add(given.summary, ratios)


def apart(*words: str) -> Any:  # noqa: ANN401  # whatever it prints
    """What this script prints last in a process of its own."""
    command = [sys.executable, __file__, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def print_writing(given: argparse.Namespace) -> list[Ratio]:
    """The first table."""
    columns = ["references", "matrix, MB", *(f"{name}, s" for name in FORMATS), "all, s"]
    columns += ["/ the matrix three times", "peak above the start, MB", "the same without matrix"]
    columns += ["TensorFlow imported"]
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    ratios = []
    for n in given.sizes:
        words = ["--backbone", given.backbone, "--one", str(n), *["--oracle"] * given.oracle]
        if not given.oracle:
            apart(*words)  # fills the cache
        found = apart(*words)
        total = sum(found["seconds"].values())
        cells = [f"{n:,}", f"{found['matrix']:.0f}"]
        cells += [f"{found['seconds'][name]:.2f}" for name in FORMATS]
        cells += [f"{total:.2f}", f"{total / found['plain']:.1f}", f"{found['peak']:.0f}"]
        cells += [f"{found['peak'] - found['matrix']:.0f}", "yes" if found["tensorflow"] else "no"]
        print("| " + " | ".join(cells) + " |", flush=True)
        what = f"writing {', '.join(FORMATS)}, {n:,} references"
        ratios.append(Ratio(what, "writing the matrix three times", total / found["plain"]))
        peak = found["peak"] / found["matrix"]
        ratios.append(Ratio(f"{what}, peak memory above the start", "the matrix", peak))
    return ratios


def print_running(given: argparse.Namespace) -> list[Ratio]:
    """The second table."""
    print(
        "\n| backbone | time | Core ML, ms | LiteRT, ms | Core ML / LiteRT |\n" + "|---" * 5 + "|"
    )
    kinds = ("processor time of a picture", "wall-clock time of two pictures on two threads")
    weights = ["--weights", str(given.weights)] if given.weights else []
    ratios = []
    for name, title in RUN.items():
        for kind, (ours, litert, ratio) in zip(kinds, apart("--run", name, *weights), strict=True):
            print(f"| {title} | {kind} | {ours:.2f} | {litert:.2f} | {ratio:.1f} |", flush=True)
            ratios.append(Ratio(f"Core ML evaluator, {title}, {kind}", "LiteRT", ratio))
    return ratios


def random_fit(n: int, net: Backbone) -> Fit:
    """Unit vectors in 100 classes, as they are searched."""
    import numpy as np

    from pocketknn.builder import References, Spec
    from pocketknn.builder.knn.fit import Fit
    from pocketknn.builder.knn.metric_space import Space

    spec = Spec(
        backbone=net.name, k=5, head="classify", projection="none", vote="uniform", balanced=False
    )
    draw = np.random.default_rng(0)
    vectors = np.empty((n, net.dim), np.float32)
    for row in range(0, n, 1000):
        block = draw.standard_normal((min(1000, n - row), net.dim), np.float32)
        vectors[row : row + 1000] = block / np.linalg.norm(block, axis=1, keepdims=True)
    references = References.of(vectors, [f"class {row % 100}" for row in range(n)])
    return Fit(spec=spec, space=Space(references=references, metric="cosine", projection=None))


def measure(n: int, backbone: str, oracle: bool) -> dict[str, object]:
    """Seconds per format and for plain writing, and megabytes of memory."""
    from pocketknn.builder import Spec, load_backbone

    net = load_backbone(Spec(backbone=backbone))
    start = _memory("VmRSS")
    fit = random_fit(n, net)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    metadata = _metadata(net, fit)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            begun = time.perf_counter()
            write(name, fit, net, metadata, Path(folder), oracle)
            seconds[name] = time.perf_counter() - begun
        peak, loaded = _memory("VmHWM") - start, "tensorflow" in sys.modules
        begun = time.perf_counter()
        for number in range(3):
            fit.space.matrix.tofile(Path(folder) / str(number))
        plain = time.perf_counter() - begun
    return {
        "seconds": seconds,
        "plain": plain,
        "matrix": fit.space.matrix.nbytes / 1e6,
        "peak": peak,
        "tensorflow": loaded,
    }


def write(
    name: str, fit: Fit, net: Backbone, metadata: Metadata, folder: Path, oracle: bool = False
) -> Path:
    """Write a file from a template, or with the official converter."""
    from pocketknn.export.formats.options import Options
    from pocketknn.export.formats.table import FORMATS as TARGETS
    from pocketknn.export.templates import template

    precision, path = TARGETS[name].PRECISION, folder / f"model{TARGETS[name].SUFFIX}"
    if oracle:
        from pocketknn.builder.graph.wire import wire

        model = wire(fit, net, precision=precision)
        TARGETS[name].convert(model, path, fit.labels, Options(), precision)
    else:
        order = template.Order(
            format=name, fit=fit, backbone=net, precision=precision, options=Options()
        )
        template.write(order, metadata, path)
    return path


def running(backbone: str, weights: Path | None) -> list[tuple[float, float, float]]:
    """Core ML's milliseconds, LiteRT's and the ratio: of one thread, and of two."""
    import numpy as np

    from pocketknn.builder import Spec, load_backbone
    from pocketknn.export.formats.table import FORMATS as TARGETS

    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as workers:
        folder = Path(name)
        os.environ["POCKETKNN_CACHE"] = str(folder / "cache")  # random weights are used only once
        if backbone == "mobilenet_v2" and weights is None:
            import keras

            weights = folder / "random.weights.h5"
            keras.applications.MobileNetV2(weights=None, include_top=False).save_weights(weights)
        of = weights if backbone == "mobilenet_v2" else None
        net = load_backbone(Spec(backbone=backbone, weights=of))
        fit = random_fit(1000, net)
        metadata = _metadata(net, fit)
        picture = np.random.default_rng(0).integers(0, 256, (1, net.size, net.size, 3), np.uint8)
        alone, together = [], []
        for format in ("coreml", "tflite"):
            path = write(format, fit, net, metadata, folder)
            runs = [TARGETS[format].load(path, 1) for _ in range(2)]
            alone.append(partial(runs[0], picture))
            together.append(partial(on_threads, workers, runs, picture))
        return [compared(alone, time.process_time), compared(together, time.perf_counter)]


def on_threads(workers: Executor, runs: Sequence[Run], picture: NDArray[Any]) -> None:
    """Run all at the same time."""
    for done in [workers.submit(run, picture) for run in runs]:
        done.result()


def compared(
    runs: Sequence[Callable[[], object]], clock: Callable[[], float]
) -> tuple[float, float, float]:
    """Median milliseconds of two ways that take turns, and the median ratio."""
    import numpy as np

    def seconds(run: Callable[[], object]) -> float:
        begun = clock()
        run()
        return clock() - begun

    for run in runs:
        run()
    taken = np.array([[seconds(run) for run in runs] for _ in range(PICTURES)])
    one, other = 1000 * np.median(taken, axis=0)
    return float(one), float(other), float(np.median(taken[:, 0] / taken[:, 1]))


def _metadata(net: Backbone, fit: Fit) -> Metadata:
    """The files' metadata, without measuring the accuracy of random references."""
    from pocketknn.builder import References, Spec
    from pocketknn.builder.knn.resolve import fit as fitted
    from pocketknn.export.manifest.describe import describe
    from pocketknn.export.manifest.metadata import Metadata

    few = References.of([[1.0] * net.dim] * 6, ["a", "b"] * 3)
    manifest = describe(
        fitted(Spec(k=5, projection="none", vote="uniform"), few),
        net,
        dict.fromkeys(FORMATS, "float32"),
    ).manifest
    manifest["labels"] = list(fit.labels)
    manifest["outputs"]["probabilities"]["shape"] = [1, len(fit.labels)]
    return Metadata(manifest=manifest, table=fit.references.table())


def _memory(name: str) -> float:
    """Memory of this process in megabytes, from Linux's /proc."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1.024e-3


if __name__ == "__main__":
    main()
