"""Time what grows with the references: measuring them, and exact search among short vectors.

    python benchmarks/large.py --weights FILE

Made-up clusters, which take as long as photographs; processor time. Ratios travel between machines,
milliseconds do not. A file of vectors is timed beside a backbone; behind it, it takes both times.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from search import FORMATS_TIMED, Contestant, measure, order_of, runner, written
from threadpoolctl import threadpool_limits

from pocketknn.builder import References, Spec, load_backbone
from pocketknn.builder.knn.metric_space import Space
from pocketknn.builder.knn.resolve import fit
from pocketknn.export.output.checksums import size


def clusters(n: int, d: int) -> NDArray[np.float32]:
    """Unit vectors (n, d) in a thousandth as many clusters."""
    rng = np.random.default_rng(0)
    middles = rng.gamma(0.4, 1, (max(2, n // 1000), d)).astype(np.float32)
    rows = np.empty((n, d), np.float32)
    for start in range(0, n, 4096):
        block = rows[start : start + 4096]
        block[:] = middles[rng.integers(0, len(middles), len(block))]
        block *= rng.gamma(2, 0.5, block.shape)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    rows.flags.writeable = False
    return rows


def seconds(run: Callable[[], Any]) -> float:
    """Processor time."""
    start = time.process_time()
    run()
    return time.process_time() - start


def measuring(n: int, d: int) -> str:
    """Leave-one-out, relative to one float32 product of the same queries and references."""
    references = References.of(clusters(n, d))
    space = Space(references=references, metric="cosine", projection=None)
    taken = seconds(lambda: space.others)
    queries = references.vectors[space.others.queries]
    product = seconds(lambda: queries @ references.vectors.T)
    return (
        f"{n:,} x {d}: the neighbours of {len(queries):,} of them take {taken:.1f} s,"
        f" {taken / product:.2f} times a float32 product of that size"
    )


def searching(n: int, d: int, options: argparse.Namespace, folder: Path) -> list[str]:
    """An exact int8 search behind a backbone, relative to the backbone alone."""
    rng = np.random.default_rng(1)
    name = "mobilenet_v2" if options.weights else "bundled"
    backbone = load_backbone(Spec(backbone=name, weights=options.weights))
    few = References.of(rng.random((100, backbone.dim)).astype(np.float32))
    alone = fit(Spec(backbone="vector", k=5, projection="none"), few)
    choices = {"projection": "none", "references_precision": "int8", "recall": 0.5}
    fitted = fit(Spec(backbone="vector", k=5, **choices), References.of(clusters(n, d)))
    picture = rng.integers(0, 256, (1, backbone.size, backbone.size, 3)).astype(np.float32)
    vector = rng.standard_normal((1, d)).astype(np.float32)
    contestants, bytes_ = [], {}
    for format in FORMATS_TIMED:
        path = written(order_of(format, alone, backbone, "embedding"), folder, "alone")
        contestants.append(Contestant(name=name, run=runner(format, path, picture)))
        path = written(order_of(format, fitted, None, "neighbors"), folder, "head")
        contestants.append(Contestant(name="search", run=runner(format, path, vector)))
        bytes_[format] = size(path) / n
    measure(contestants, options.rounds)
    times = [float(np.median(one.times)) for one in contestants]
    recall = fitted.index.recall if fitted.index else None
    return [
        f"{n:,} x {d} in int8, {format}: {name} {body:.2f} ms, search {head:.2f} ms, together"
        f" {1 + head / body:.2f} times; {bytes_[format]:.0f} bytes a reference, of these"
        f" {d} for its values; recall@5 {recall:.3f}"
        for format, body, head in zip(FORMATS_TIMED, times[::2], times[1::2], strict=True)
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--weights", type=Path, help="of MobileNetV2 1.0; default: bundled")
    parser.add_argument("--references", type=int, default=100_000, help="of 1,280 values")
    parser.add_argument("--short", type=int, default=1_000_000, help="how many short vectors")
    parser.add_argument("--values", type=int, nargs="+", default=[80, 128], help="their lengths")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    print(measuring(options.references, 1280), flush=True)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        for d in options.values:
            print("\n".join(searching(options.short, d, options, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
