"""Time what grows with the references: measuring, editing, building, and search in short vectors.

    python benchmarks/large.py [--references 100000] [--weights FILE]

Made-up clusters, which take as long as photographs. Ratios travel between machines, seconds do not.

- Leave-one-out: processor time, relative to one float32 product of the same queries and references.
- Whole processes: `build` of a file of references (TFLite, without the report), and `edit
  --remove-class` of the file that it writes, with the learned projection and with all 1,280 values
  (`--projection none`). Their processor time is relative to a product of the same size, of the same
  round; their peak memory to the matrix in float32.
- Search in short vectors, in int8: processor time of one query on one thread, beside that of a
  backbone: a file with a backbone and this search takes both times. The backbones are
  EfficientNet-Lite0 and MobileNetV2 1.0 (without `--weights`, the bundled one).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import summary
from numpy.typing import NDArray
from processes import Taken, pocketknn, timed
from search import FORMATS_TIMED, Contestant, measure, order_of, runner, written
from summary import Ratio
from threadpoolctl import threadpool_limits

from pocketknn.builder import References, Spec, load_backbone
from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.metric_space import Space
from pocketknn.builder.knn.resolve import fit
from pocketknn.export.output.checksums import size

VALUES = 1280
PRODUCT = "one float32 product of the queries and references"
# Any loss of int8 is accepted, and reported; rerank chooses as many candidates as a recall needs.
SEARCHES = {"exact": 0.5, "rerank": 0.95}


def clusters(n: int, d: int) -> tuple[NDArray[np.float32], list[str]]:
    """Unit vectors (n, d) in a thousandth as many clusters, and the cluster of each."""
    rng = np.random.default_rng(0)
    middles = rng.gamma(0.4, 1, (max(2, n // 1000), d)).astype(np.float32)
    rows, labels = np.empty((n, d), np.float32), np.empty(n, int)
    for start in range(0, n, 4096):
        block, of = rows[start : start + 4096], labels[start : start + 4096]
        of[:] = rng.integers(0, len(middles), len(block))
        block[:] = middles[of]
        block *= rng.gamma(2, 0.5, block.shape)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    rows.flags.writeable = False
    return rows, [f"class {number}" for number in labels]


def seconds(run: Callable[[], Any]) -> float:
    """Processor time."""
    start = time.process_time()
    run()
    return time.process_time() - start


def product(references: References, queries: NDArray[np.int64]) -> float:
    """Processor time of one float32 product of some references with all of them."""
    rows = references.vectors[queries]
    return seconds(lambda: rows @ references.vectors.T)


def measuring(references: References) -> tuple[NDArray[np.int64], list[Ratio]]:
    """Time leave-one-out; returns the rows that it uses as queries."""
    space = Space(references=references, metric="cosine", projection=None)
    taken = seconds(lambda: space.others)
    queries = space.others.queries
    ratio = taken / product(references, queries)
    of = f"{len(references):,} x {references.dim}: leave-one-out of {len(queries):,} of them"
    print(f"{of} takes {taken:.1f} s, {ratio:.2f} times a float32 product of that size\n")
    return queries, [Ratio(of, PRODUCT, ratio)]


def changing(
    references: References, queries: NDArray[np.int64], folder: Path, rounds: int
) -> list[Ratio]:
    """Build from a file of references, and edit the result, as whole processes."""
    source = folder / "references.parquet"
    references.save(source)
    options = ("--formats", "tflite", "--no-report", "--force")
    removed = ("--remove-class", references.labels[0], "--out", folder / "less.tflite", "--force")
    commands: dict[str, tuple[str | Path, ...]] = {}
    for projection in ("classes", "none"):
        built, by = folder / projection, f"--projection {projection}"
        commands[f"build {by}"] = ("build", source, "--out", built, *by.split(), *options)
        commands[f"edit --remove-class, {by}"] = ("edit", built / "model.tflite", *removed)
    times: dict[str, list[Taken]] = {name: [] for name in commands}
    products = []
    for _ in range(rounds):
        products.append(product(references, queries))
        for name, command in commands.items():
            taken = timed(pocketknn(*command), folder, POCKETKNN_CACHE=str(folder / "cache"))
            times[name].append(taken)
    matrix = references.vectors.nbytes / 1e6
    of = f"{len(references):,} x {references.dim}"
    print(f"{of}, {rounds} rounds, the product takes {np.median(products):.2f} s\n")
    print("| process | wall, s | processor, s | / product | peak, MB | / matrix |")
    print("|---|---|---|---|---|---|")
    found = []
    for name, each in times.items():
        wall, processor, peak = np.median(each, axis=0)
        ratio = float(np.median([one.processor for one in each] / np.array(products)))
        cells = f"{wall:.1f} | {processor:.1f} | {ratio:.1f} | {peak:,.0f} | {peak / matrix:.2f}"
        print(f"| {name} | {cells} |", flush=True)
        found.append(Ratio(f"{of}: {name}, processor time", PRODUCT, ratio))
        found.append(Ratio(f"{of}: {name}, peak memory", "the matrix in float32", peak / matrix))
    return found


def searching(
    n: int, d: int, backbones: Sequence[Backbone], rounds: int, folder: Path
) -> list[Ratio]:
    """Each search in short vectors behind each backbone, relative to the backbone alone."""
    rng = np.random.default_rng(1)
    timed_: dict[tuple[str, str], Contestant] = {}  # by format and name

    def add(name: str, fitted: Fit, backbone: Backbone | None, given: NDArray[np.float32]) -> None:
        for format in FORMATS_TIMED:
            order = order_of(format, fitted, backbone, "embedding" if backbone else "neighbors")
            path = written(order, folder, name)
            timed_[format, name] = Contestant(
                name=name,
                run=runner(format, path, given),
                recall=fitted.index.recall if fitted.index else None,
                bytes=size(path) / n,
            )

    for backbone in backbones:
        few = References.of(rng.random((100, backbone.dim)).astype(np.float32))
        fitted = fit(Spec(backbone="vector", k=5, projection="none"), few)
        shape = (1, backbone.size, backbone.size, 3)
        add(backbone.name, fitted, backbone, rng.integers(0, 256, shape).astype(np.float32))
    references = References.of(clusters(n, d)[0])
    for search, recall in SEARCHES.items():
        spec = Spec(
            backbone="vector",
            k=5,
            projection="none",
            search=search,
            recall=recall,
            references_precision="int8",
        )
        add(search, fit(spec, references), None, rng.standard_normal((1, d)).astype(np.float32))
    measure(list(timed_.values()), rounds)
    middle = {key: float(np.median(one.times)) for key, one in timed_.items()}
    found = []
    of = f"{n:,} x {d} in int8"
    print(f"\n| {of} | ms | recall@5 | bytes per reference", end="")
    print("".join(f" | behind {one.name}" for one in backbones) + " |")
    print("|---" * (len(backbones) + 4) + "|")
    for search in SEARCHES:
        for format in FORMATS_TIMED:
            one, here = timed_[format, search], middle[format, search]
            cells = [f"{format}: {search}", f"{here:.2f}", f"{one.recall:.3f}", f"{one.bytes:.0f}"]
            for backbone in backbones:
                ratio = 1 + here / middle[format, backbone.name]
                cells.append(f"{ratio:.2f}")
                what = f"{of}: {format}, {search}"
                found.append(Ratio(what, f"{backbone.name} alone", ratio))
            print("| " + " | ".join(cells) + " |", flush=True)
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--weights", type=Path, help="of MobileNetV2 1.0; default: bundled")
    parser.add_argument("--references", type=int, default=100_000, help="of 1,280 values")
    parser.add_argument("--short", type=int, default=1_000_000, help="how many short vectors")
    parser.add_argument("--values", type=int, nargs="+", default=[80, 128], help="their lengths")
    parser.add_argument("--rounds", type=int, default=30, help="of searches")
    parser.add_argument("--processes", type=int, default=3, help="rounds of whole processes")
    summary.option(parser)
    options = parser.parse_args()
    small = Spec(backbone="bundled")
    if options.weights:
        small = Spec(backbone="mobilenet_v2", weights=options.weights)
    backbones = [load_backbone(spec) for spec in (Spec(backbone="efficientnet_lite0"), small)]
    ratios: list[Ratio] = []
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1):
        folder = Path(name)
        references = References.of(*clusters(options.references, VALUES))
        queries, found = measuring(references)
        ratios += found + changing(references, queries, folder, options.processes)
        del references
        for d in options.values:
            ratios += searching(options.short, d, backbones, options.rounds, folder)
    summary.add(options.summary, ratios)


if __name__ == "__main__":
    main()
