"""Compare the searches with each other and with search libraries, behind the same backbone.

    python benchmarks/search.py --references refs.parquet --weights FILE --sizes 10000 100000

One thread everywhere. A round runs every contestant once, so that changes in the machine's load
affect all of them alike; the table has medians of processor time, and percentiles.
`--references` is a file from `pocketknn refs new PHOTOS -o refs.parquet`. If it holds fewer
references than needed, the rest are mixtures of neighbours in it, and the table gives their share.
Mixtures take as long as any references, but their recall says little about photographs.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import summary
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pocketknn.builder import References, Spec, load_backbone
from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.choices.metrics.cosine import unit
from pocketknn.builder.knn.exact import search
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.resolve import fit
from pocketknn.export.cli.console.quiet import quiet
from pocketknn.export.formats.options import Options
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.describe import describe
from pocketknn.export.output.checksums import size
from pocketknn.export.templates.template import Order, write

K = 5
FORMATS_TIMED = ("tflite", "onnx")
Floats = NDArray[np.float32]
# What to build: by name, the choices, and the minimum and maximum number of references.
VARIANTS: dict[str, tuple[dict[str, Any], int, int]] = {
    "exact, float32": ({}, 0, 300_000),
    "exact, float16": ({"references_precision": "float16"}, 0, 300_000),
    "exact, int8": ({"references_precision": "int8"}, 0, 300_000),
    "rerank, float32": ({"search": "rerank"}, 0, 300_000),
    "rerank, int8": ({"search": "rerank", "references_precision": "int8"}, 0, 300_000),
    # With so many references, int8 alone loses more than 1 %.
    "rerank, int8, recall 0.95": (
        {"search": "rerank", "references_precision": "int8", "recall": 0.95},
        300_000,
        1 << 30,
    ),
}

# Made-up vectors of a group are so alike that int8 loses more of their neighbours than it may.
_OF_MADE_UP = 0.9


@dataclass(kw_only=True)
class Contestant:
    """Something to time.

    Attributes:
        name: its name in the table.
        run: runs one query.
        recall: share of the exact neighbours that it finds, if known.
        reported: the same for held-out references, as reported by a build.
        bytes: bytes per reference.
        times: milliseconds of processor time of each run.
    """

    name: str
    run: Callable[[], Any]
    recall: float | None = None
    reported: float | None = None
    bytes: float | None = None
    times: list[float] = field(default_factory=list)


def enlarged(vectors: Floats, n: int, rng: np.random.Generator) -> Floats:
    """Return n vectors: the given ones, then mixtures of a random one with one near it."""
    if n <= len(vectors):
        return vectors[:n]
    found = np.empty((n, vectors.shape[1]), np.float32)
    found[: len(vectors)] = vectors
    some = vectors[rng.permutation(len(vectors))[:4096]]
    units = unit(some).astype(np.float32)
    for start in range(len(vectors), n, 4096):
        rows = vectors[rng.integers(0, len(vectors), min(4096, n - start))]
        near = (unit(rows).astype(np.float32) @ units.T).argmax(axis=1)
        share = rng.uniform(0.2, 0.8, (len(rows), 1)).astype(np.float32)
        found[start : start + len(rows)] = share * rows + (1 - share) * some[near]
    return found


def order_of(format: str, fitted: Fit, backbone: Backbone | None, outputs: str) -> Order:
    """The order for a float32 file."""
    return Order(
        format=format,
        fit=fitted,
        backbone=backbone,
        precision="float32",
        options=Options(),
        outputs=outputs,
    )


def written(order: Order, folder: Path, name: str) -> Path:
    """Write a file."""
    metadata = describe(order.fit, order.backbone, {order.format: "float32"})
    if order.outputs != "neighbors":
        metadata = metadata.part(order.outputs)
    path = folder / f"{name}{FORMATS[order.format].SUFFIX}"
    with quiet():
        write(order, metadata, path)
    return path


def runner(format: str, path: Path, given: NDArray[Any]) -> Callable[[], Any]:
    """A function that runs one query in the file's own runtime, on one thread, without our code."""
    if format == "tflite":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], given)
        return interpreter.invoke  # type: ignore[no-any-return]
    import onnxruntime as ort

    how = ort.SessionOptions()
    how.intra_op_num_threads = how.inter_op_num_threads = 1
    session = ort.InferenceSession(path, how, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: given})


def peers(vectors: Floats, queries: Floats, exact: NDArray[np.int64]) -> Iterator[Contestant]:
    """Libraries that search, over unit vectors; without the backbone's time."""
    rows, units = unit(vectors).astype(np.float32), unit(queries).astype(np.float32)
    n, d = rows.shape

    def made(name: str, find: Callable[[Floats], Any], bytes_: float) -> Contestant:
        found = np.concatenate([np.asarray(find(one[None])) for one in units])
        query = units[:1]
        return Contestant(
            name=name, run=lambda: find(query), recall=recall(exact, found), bytes=bytes_
        )

    from sklearn.neighbors import NearestNeighbors

    brute = NearestNeighbors(n_neighbors=K, metric="cosine", algorithm="brute").fit(rows)
    yield made("scikit-learn, brute", lambda q: brute.kneighbors(q, return_distance=False), 4.0 * d)
    try:
        import faiss
    except ImportError:
        print("faiss is not installed; see the extra 'bench'", file=sys.stderr)
    else:
        faiss.omp_set_num_threads(1)
        flat = faiss.IndexFlatIP(d)
        flat.add(rows)
        yield made("faiss, flat", lambda q: flat.search(q, K)[1], 4.0 * d)
        cells = int(4 * np.sqrt(n))
        ivf = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, cells, faiss.METRIC_INNER_PRODUCT)
        ivf.train(rows[: 40 * cells])
        ivf.add(rows)
        ivf.nprobe = max(1, cells // 16)
        yield made("faiss, IVF", lambda q: ivf.search(q, K)[1], 4.0 * d + 8)
        graph = faiss.IndexHNSWFlat(d, 16, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = 100, 128
        graph.add(rows)
        yield made("faiss, HNSW", lambda q: graph.search(q, K)[1], 4.0 * d + 140)
    try:
        import hnswlib
    except ImportError:
        print("hnswlib is not installed; see the extra 'bench'", file=sys.stderr)
    else:
        small = hnswlib.Index("ip", d)
        small.init_index(n, M=16, ef_construction=100, random_seed=0)
        small.set_num_threads(1)
        small.add_items(rows)
        small.set_ef(128)
        yield made("hnswlib", lambda q: small.knn_query(q, K)[0], 4.0 * d + 136)
    try:
        from usearch.index import Index
    except ImportError:
        print("usearch is not installed; see the extra 'bench'", file=sys.stderr)
    else:
        bytes_ = Index(ndim=d, metric="cos", dtype="i8", expansion_search=128)
        bytes_.add(np.arange(n), rows, threads=1)
        yield made("usearch, int8", lambda q: bytes_.search(q[0], K).keys[None], 1.0 * d + 150)


def recall(wanted: NDArray[np.int64], found: NDArray[Any]) -> float:
    """Share of the wanted neighbours that were found."""
    return float((wanted[:, :, None] == found[:, None, :]).any(axis=2).mean())


def recall_of(fitted: Fit, queries: Floats, exact: NDArray[np.int64], folder: Path) -> float:
    """The recall of a TFLite file over the same references that takes features."""
    path = written(order_of("tflite", fitted, None, "neighbors"), folder, "features")
    found = FORMATS["tflite"].load(path, threads=1)(queries)["indices"]
    path.unlink()
    return recall(exact, found)


def measure(contestants: list[Contestant], rounds: int) -> None:
    """Time all of them in turn."""
    for one in contestants:
        for _ in range(3):
            one.run()
    for _ in range(rounds):
        for one in contestants:
            start = time.process_time()
            one.run()
            one.times.append((time.process_time() - start) * 1e3)


def machine() -> str:
    """The processor and the versions of the runtimes and libraries."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    names = ("ai-edge-litert", "onnxruntime", "faiss-cpu", "hnswlib", "usearch", "scikit-learn")
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except ImportError:
            continue
    return f"{model}, {os.cpu_count()} cores, one thread used; {', '.join(found)}"


def times_backbone(one: Contestant, alone: dict[str, float]) -> float:
    """A whole graph's time, or that of a library behind the TFLite backbone, by the backbone's."""
    format, middle = one.name.split(":")[0], float(np.median(one.times))
    return middle / alone[format] if format in alone else 1 + middle / alone["tflite"]


def table(contestants: list[Contestant], alone: dict[str, float]) -> list[str]:
    """A Markdown table; each file's whole graph is compared with its backbone alone."""
    lines = [
        "| what | ms | 10th to 90th | whole / backbone | recall@5 | reported | bytes/reference |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in contestants:
        low, middle, high = np.percentile(one.times, [10, 50, 90])
        ratio = "1" if one.name.endswith("backbone") else f"{times_backbone(one, alone):.2f}"
        shares = (one.recall, one.reported)
        found, reported = ("–" if share is None else f"{share:.3f}" for share in shares)
        taken = "–" if one.bytes is None else f"{one.bytes:,.0f}"
        spread = f"{low:.2f}–{high:.2f}"
        lines.append(
            f"| {one.name} | {middle:.2f} | {spread} | {ratio} | {found} | {reported} | {taken} |"
        )
    return lines


def compared(
    references: References, backbone: Backbone, n: int, options: argparse.Namespace, folder: Path
) -> tuple[list[str], list[summary.Ratio]]:
    """One table: all files built for n references, and the libraries; and its ratios."""
    rng = np.random.default_rng(0)
    real = np.asarray(references.vectors)[rng.permutation(len(references))]
    rows = enlarged(real, n + options.queries, rng)
    # Queries are drawn from the same rows, so they include mixtures if the references do.
    held_out = rng.choice(len(rows), options.queries, replace=False)
    queries = rows[held_out]
    rows = np.delete(rows, held_out, axis=0)
    exact = search(queries, rows, K).indices
    refs = References.of(rows)
    picture = rng.integers(0, 256, (1, backbone.size, backbone.size, 3)).astype(np.float32)
    contestants, alone, small = [], {}, References.of(real[:100])
    for format in FORMATS_TIMED:
        few = fit(Spec(backbone="vector", k=K), small)
        path = written(order_of(format, few, backbone, "embedding"), folder, "alone")
        contestants.append(
            Contestant(name=f"{format}: the backbone", run=runner(format, path, picture))
        )
    for name, (choices, minimum, maximum) in VARIANTS.items():
        if not minimum <= n <= maximum or options.only not in name:
            continue
        if choices and not options.references:
            choices = {"recall": _OF_MADE_UP, **choices}
        started = time.perf_counter()
        fitted = fit(Spec(backbone="vector", k=K, **choices), refs)
        seconds = time.perf_counter() - started
        found = recall_of(fitted, queries, exact, folder)
        index = fitted.index
        numbers = "" if index is None else f" (R {index.candidates}, w {index.width})"
        for format in FORMATS_TIMED:
            order_ = order_of(format, fitted, backbone, "neighbors")
            path = written(order_, folder, name.replace(", ", "-").replace(" ", "-"))
            contestants.append(
                Contestant(
                    name=f"{format}: {name}{numbers}",
                    run=runner(format, path, picture),
                    recall=found,
                    reported=index.recall if index else 1.0,
                    bytes=(size(path) - size(folder / f"alone{path.suffix}")) / n,
                )
            )
        print(f"{n}: {name}{numbers}, recall {found:.4f}, {seconds:.0f} s to fit", flush=True)
        del fitted, index
    if n <= options.peers:
        contestants += peers(rows, queries, exact)
    with threadpool_limits(1):
        measure(contestants, options.rounds)
    for format in FORMATS_TIMED:
        (one,) = (one for one in contestants if one.name == f"{format}: the backbone")
        alone[format] = float(np.median(one.times))
    mixed = max(0, 1 - len(real) / (n + options.queries))
    note = f", {mixed:.0%} of them and of the queries are mixtures" if mixed else ""
    lines = [f"### {n:,} references{note}", "", *table(contestants, alone), ""]
    to = f"{backbone.name} alone"
    return lines, [
        summary.Ratio(f"{one.name}, {n:,} references", to, times_backbone(one, alone))
        for one in contestants
        if not one.name.endswith("backbone")
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--references", type=Path, help="a .parquet; default: made-up vectors")
    parser.add_argument("--weights", type=Path, help="of MobileNetV2 1.0; default: bundled")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--queries", type=int, default=300, help="held out to measure recall")
    parser.add_argument(
        "--peers", type=int, default=100_000, help="maximum number of references for libraries"
    )
    parser.add_argument("--only", default="", help="only variants whose name contains this")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results.md"))
    summary.option(parser)
    options = parser.parse_args()
    spec = Spec(backbone="mobilenet_v2" if options.weights else "bundled", weights=options.weights)
    backbone = load_backbone(spec)
    if options.references:
        references = References.load(options.references)
        source = f"embeddings of {len(references):,} photographs"
    else:
        rng = np.random.default_rng(0)
        middles = rng.gamma(0.5, 1, (400, backbone.dim))
        made = middles[rng.integers(0, 400, 20_000)]
        made = np.maximum(made + rng.normal(scale=0.5, size=made.shape), 0)
        references = References.of(made.astype(np.float32))
        source = "made-up vectors in 400 groups: their recall says nothing about photographs"
    lines = [
        "# Searches, measured",
        "",
        f"`python benchmarks/search.py`, {options.rounds} rounds; {backbone.name} at"
        f" {backbone.size}, {backbone.dim} values; {source}; {options.queries} held-out queries;"
        f" k = {K}.",
        machine() + ".",
        "recall@5 is measured on these queries; reported is the recall in the manifest, measured on"
        " held-out references.",
        "The libraries' milliseconds are for the search alone; their ratio includes the TFLite"
        " backbone. They search an index in memory, which an app's file does not contain.",
        "",
    ]
    ratios: list[summary.Ratio] = []
    for n in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            more, found = compared(references, backbone, n, options, Path(folder))
        lines += more
        ratios += found
        options.out.write_text("\n".join(lines), "utf-8")
    print("\n".join(lines))
    summary.add(options.summary, ratios)


if __name__ == "__main__":
    main()
