"""Whether two installed versions of pocketknn write the same files, byte for byte.

    python tests/same_artefacts.py record OLD/bin/python before.json
    python tests/same_artefacts.py record NEW/bin/python after.json
    python tests/same_artefacts.py compare before.json after.json

It builds from generated pictures with only the command line, which both versions have, and keeps a
hash of every file of every build. Reports are left out: their words may change, and timings
differ from run to run. A model also has a hash apart from the manifest in it, and an ONNX graph one
apart from its names and order: these stay the same where only words or figures change.
"""

import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

SHARED = ("--backbone", "bundled", "--no-report")
# Each: the source (see `draw`) and the options of build.
SPECS = {
    "default of the bundled backbone": ("classes", ()),
    "no projection, uniform": ("classes", ("--projection", "none", "--vote", "uniform")),
    "distance": ("classes", ("--vote", "distance", "--k", "3", "--projection", "none")),
    "euclidean": ("classes", ("--metric", "euclidean", "--projection", "none")),
    "manhattan, soft": ("classes", ("--metric", "manhattan", "--projection", "none")),
    "minkowski": ("classes", ("--metric", "minkowski", "--k", "1", "--projection", "none")),
    "pca": ("classes", ("--projection", "pca:16", "--crop", "fit")),
    "pca of a share, whitened": ("classes", ("--projection", "pca:0.9:0.5", "--k", "auto")),
    "reject": ("classes", ("--reject", "auto", "--crop", "stretch")),
    "regress": ("numbers", ("--vote", "distance", "--k", "4")),
    "neighbors": ("flat", ("--k", "6")),
    "rerank": ("classes", ("--search", "rerank", "--projection", "none", "--k", "5")),
    "rerank of vectors": ("vectors", ("--search", "rerank", "--k", "5", "--recall", "0.9")),
    "float16 references": ("classes", ("--references-precision", "float16")),
    "int8 references": ("classes", ("--references-precision", "int8", "--no-balanced")),
    "int8 backbone": ("classes", ("--precision", "int8")),
    "float16 backbone": ("classes", ("--precision", "float16", "--no-names")),
    "uint8 pixels, more outputs": (
        "classes",
        ("--pixels", "uint8", "--outputs", "embedding,scores", "--ios", "17", "--author", "A"),
    ),
    "prototypes": ("classes", ("--condense", "20", "--vote", "uniform")),
    "from references": ("references", ("--ios", "18")),
    "efficientnet_lite0": ("classes", ("--backbone", "efficientnet_lite0")),
}


def draw(folder: Path) -> None:
    """Coloured stripes: four classes of eight pictures, and a number for each picture."""
    import numpy as np
    from PIL import Image

    rows = ["path,weight"]
    grid = np.arange(96)
    for kind in range(4):
        for one in range(8):
            rng = np.random.default_rng([kind, one])
            wave = np.sin(grid / (3 + 2 * kind) + rng.uniform(0, 6))
            stripes = np.add.outer(wave, 0.3 * kind * wave)[..., None] * rng.uniform(30, 90, 3)
            noisy = 128 + stripes + rng.normal(0, 12, (96, 96, 3))
            picture = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
            for name in (f"classes/kind{kind}/{one}.png", f"flat/{kind}{one}.png"):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                picture.save(path)
            rows.append(f"flat/{kind}{one}.png,{kind + one / 10}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    rng = np.random.default_rng(0)
    middles = rng.normal(0, 1, (64, 24))
    vectors = (middles[np.arange(4096) % 64] + rng.normal(0, 0.2, (4096, 24))).round(4)
    classes = {f"kind{kind}": vectors[kind::4].tolist() for kind in range(4)}
    (folder / "vectors.json").write_text(json.dumps(classes))


def hashes(out: Path) -> dict[str, str]:
    """A hash of each file, and for each model one without its metadata."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.suffix != ".html":
            name, content = path.relative_to(out).as_posix(), path.read_bytes()
            found[name] = _hash(content)
            if path.suffix in MODELS:
                for kind, rest in MODELS[path.suffix](content).items():
                    found[f"{name}, {kind}"] = _hash(rest)
    return found


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(len(one).to_bytes(8) + one for one in parts)).hexdigest()


def _keras(content: bytes) -> dict[str, bytes]:
    """The members that Keras wrote; all others are metadata."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        own = ("config.json", "metadata.json", "model.weights.h5")
        return {APART: b"".join(_hash(archive.read(name)).encode() for name in own)}


def _tflite(content: bytes) -> dict[str, bytes]:
    """The model without its metadata, and without the archive at its end, which is not read."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromPackedBuf(content, 0)
    for one in tree.metadata or ():
        tree.buffers[one.buffer].data = None
    tree.metadata = tree.description = None
    builder = flatbuffers.Builder(len(content))
    builder.Finish(tree.Pack(builder))
    return {APART: bytes(builder.Output())}


def _onnx(content: bytes) -> dict[str, bytes]:
    """The model without texts, and its graph without names and order."""
    import onnx

    proto = onnx.ModelProto.FromString(content)
    for name in ("producer_name", "producer_version", "domain", "model_version", "metadata_props"):
        proto.ClearField(name)
    graph = proto.graph
    for one in (proto, graph, *graph.node, *graph.input, *graph.output):
        one.ClearField("doc_string")
    made = {"": b""} | {value.name: value.SerializeToString() for value in graph.input}
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        made[tensor.name] = f"{values.dtype}{values.shape}{_hash(values.tobytes())}".encode()
    for node in graph.node:  # each node follows those that it reads from
        options = sorted(one.SerializeToString(deterministic=True) for one in node.attribute)
        given = [made[name] for name in node.input]
        said = [f"{node.domain}.{node.op_type}({len(given)})".encode(), *given, *options]
        for place, name in enumerate(node.output):
            made[name] = _hash(*said, bytes(place)).encode()
    ends = [value.SerializeToString() + made[value.name] for value in graph.output]
    return {
        APART: proto.SerializeToString(deterministic=True),
        f"{APART}, names and order": b"".join(ends),
    }


def _coreml(content: bytes) -> dict[str, bytes]:
    """The specification without the texts shown by Xcode; the weights are in their own file."""
    from coremltools.proto import Model_pb2

    model = Model_pb2.Model.FromString(content)
    model.description.ClearField("metadata")
    for feature in (*model.description.input, *model.description.output):
        feature.ClearField("shortDescription")
    return {APART: model.SerializeToString(deterministic=True)}


APART = "apart from what is written about it"
MODELS: dict[str, Callable[[bytes], dict[str, bytes]]] = {
    ".keras": _keras,
    ".tflite": _tflite,
    ".onnx": _onnx,
    ".mlmodel": _coreml,
}


def record(result: Path) -> None:
    """Build all specs with the pocketknn of this Python."""
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="pocketknn")
    main = command.load()
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        os.environ["POCKETKNN_CACHE"] = str(work / "cache")
        draw(work)
        photos = {
            "classes": work / "classes",
            "flat": work / "flat",
            "numbers": work / "table.csv",
            "references": work / "0" / "references.parquet",
            "vectors": work / "vectors.json",
        }
        seen = {}
        for number, (name, (kind, options)) in enumerate(SPECS.items()):
            out = work / str(number)
            extra = ("--target-column", "weight") if kind == "numbers" else ()
            shared = SHARED if kind != "vectors" else ("--no-report",)
            given = ("build", str(photos[kind]), "-o", str(out), *shared, *extra, *options)
            log = work / "log"
            with log.open("w") as lines, contextlib.redirect_stdout(lines):
                sys.argv = ["pocketknn", *given]
                code: int | str = 0
                try:
                    main()
                except SystemExit as end:
                    code = end.code or 0
            if code:
                print(log.read_text())
            seen[name] = {"exit code": str(code), **hashes(out)}
            print(f"{name}: {len(seen[name]) - 1} hashes, exit code {code}", flush=True)
    result.write_text(json.dumps(seen, indent=1))


def compare(one: Path, other: Path) -> int:
    """Print the differences; returns 0 if there are none."""
    before, after = (json.loads(path.read_text()) for path in (one, other))
    differ = 0
    for name in sorted(before | after):
        old, new = before.get(name, {}), after.get(name, {})
        for file in sorted(old | new):
            if old.get(file) != new.get(file):
                what = "gone" if file not in new else "new" if file not in old else "differs"
                print(f"{name}: {file}: {what}")
                differ += 1
    count = sum(len(files) - 1 for files in before.values())
    print(f"{len(before)} builds, {count} hashes, {differ} differences")
    return differ > 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["record", python, file]:
            sys.exit(
                subprocess.run([python, __file__, "here", file], cwd="/", check=False).returncode
            )
        case ["here", file]:
            record(Path(file))
        case ["compare", before, after]:
            sys.exit(compare(Path(before), Path(after)))
        case _:
            sys.exit(__doc__)
