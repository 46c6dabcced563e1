"""Whether two installed versions of pocketknn write the same files, byte for byte.

    python tests/same_artefacts.py record OLD/bin/python before.json
    python tests/same_artefacts.py record NEW/bin/python after.json
    python tests/same_artefacts.py compare before.json after.json

It builds from drawn pictures with only the command line, which both versions have, and keeps a
hash of every file of every build. Reports and manifests are left out: their words may change, and
figures of time differ from run to run.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SHARED = ("--backbone", "bundled", "--no-report")
# Each: what of those drawn below it is built from, and the options of build.
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
    "cells": ("vectors", ("--search", "ivf", "--k", "5", "--recall", "0.9")),
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
    """Coloured stripes: four classes of eight pictures, and a number to each picture."""
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
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.suffix != ".html"
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
                try:
                    main()
                    code = 0
                except SystemExit as end:
                    code = end.code or 0
            if code:
                print(log.read_text())
            seen[name] = {"exit code": str(code), **hashes(out)}
            print(f"{name}: {len(seen[name]) - 1} files, exit code {code}", flush=True)
    result.write_text(json.dumps(seen, indent=1))


def compare(one: Path, other: Path) -> int:
    """Name what differs; 0 if nothing does."""
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
    print(f"{len(before)} builds, {count} files, {differ} differences")
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
