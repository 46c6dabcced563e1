"""How much time and memory it takes to write files from cached templates, and to run Core ML's.

    python benchmarks/export.py [--backbone bundled] [--oracle]

The references are random; only the writing is timed, each size in its own process. With --oracle
the official converters get the same references instead, as far as memory allows. The last column
is the processor time of a picture in our Core ML evaluator (on a Mac, in Core ML), divided by
LiteRT's on one thread; the two take turns.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from pocketknn.builder.backbones.backbone import Backbone
    from pocketknn.builder.knn.fit import Fit
    from pocketknn.export.formats.protocol import Run
    from pocketknn.export.manifest.metadata import Metadata

FORMATS = ("tflite", "onnx", "coreml")
SIZES = (1_000, 10_000, 100_000)


def main() -> None:
    """Print a table, with a row for each number of references."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="bundled")
    parser.add_argument("--oracle", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(measure(given.one, given.backbone, given.oracle)))
        return
    columns = ["references", "matrix, MB", *(f"{name}, s" for name in FORMATS), "all, s"]
    columns += ["peak above the start, MB", "the same without matrix, MB", "TensorFlow imported"]
    columns += ["a picture, Core ML / LiteRT"]
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    for n in SIZES:
        words = [sys.executable, __file__, "--backbone", given.backbone, "--one", str(n)]
        words += ["--oracle"] * given.oracle
        if not given.oracle:
            subprocess.run(words, check=True, capture_output=True)  # fills the cache
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        cells = [f"{n:,}", f"{found['matrix']:.0f}"]
        cells += [f"{found['seconds'][name]:.2f}" for name in FORMATS]
        cells += [f"{sum(found['seconds'].values()):.2f}", f"{found['peak']:.0f}"]
        cells += [f"{found['peak'] - found['matrix']:.0f}", "yes" if found["tensorflow"] else "no"]
        cells += [f"{found['slower']:.1f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


def measure(n: int, backbone: str, oracle: bool) -> dict[str, object]:
    """Seconds per format, and megabytes of memory."""
    import numpy as np

    from pocketknn.builder import References, Spec, load_backbone
    from pocketknn.builder.knn.fit import Fit
    from pocketknn.builder.knn.metric_space import Space
    from pocketknn.export.formats.options import Options
    from pocketknn.export.formats.table import FORMATS as TARGETS
    from pocketknn.export.templates import template

    spec = Spec(
        backbone=backbone, k=5, head="classify", projection="none", vote="uniform", balanced=False
    )
    net = load_backbone(spec)
    start = _memory("VmRSS")
    draw = np.random.default_rng(0)
    vectors = np.empty((n, net.dim), np.float32)
    for row in range(0, n, 1000):
        block = draw.standard_normal((min(1000, n - row), net.dim), np.float32)
        vectors[row : row + 1000] = block / np.linalg.norm(block, axis=1, keepdims=True)
    references = References.of(vectors, [f"class {row % 100}" for row in range(n)])
    del vectors
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    fit = Fit(spec=spec, space=Space(references=references, metric="cosine", projection=None))
    metadata = _metadata(net, fit)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            precision = TARGETS[name].PRECISION
            order = template.Order(
                format=name, fit=fit, backbone=net, precision=precision, options=Options()
            )
            path = Path(folder) / f"model{TARGETS[name].SUFFIX}"
            begun = time.perf_counter()
            if oracle:
                from pocketknn.builder.graph.wire import wire

                model = wire(fit, net, precision=precision)
                TARGETS[name].convert(model, path, fit.labels, Options(), precision)
            else:
                template.write(order, metadata, path)
            seconds[name] = time.perf_counter() - begun
        peak, loaded = _memory("VmHWM") - start, "tensorflow" in sys.modules
        picture = draw.integers(0, 256, (1, net.size, net.size, 3), np.uint8)
        runs = [
            TARGETS[name].load(Path(folder) / f"model{TARGETS[name].SUFFIX}", 1)
            for name in ("coreml", "tflite")
        ]
        taken = np.array([[_seconds(run, picture) for run in runs] for _ in range(25)])
    matrix = fit.space.matrix.nbytes / 1e6
    return {
        "seconds": seconds,
        "matrix": matrix,
        "peak": peak,
        "tensorflow": loaded,
        "slower": np.median(taken[:, 0] / taken[:, 1]),
    }


def _seconds(run: Run, picture: NDArray[Any]) -> float:
    begun = time.process_time()
    run(picture)
    return time.process_time() - begun


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
