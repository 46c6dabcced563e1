"""How projections change the accuracy, and how many bytes a reference then takes.

    python benchmarks/projection.py --embeddings FILE.npz [--parts 2] [--repeats 10]
    python benchmarks/projection.py --photos FOLDER --weights mobilenet_v2_1.0_224.weights.h5

Prints a Markdown table of 5-NN by cosine. FILE holds x (n, d), the embeddings, and y, their labels;
a folder is embedded by MobileNetV2 1.0. This is stratified cross-validation: each part of the
photos is the queries once, the other parts are the references, and the projection is learned from
these alone; with two parts, half of the photos are references and half are queries. It is repeated
with other parts. Each row of the table is compared with raw cosine on the same parts; ± is the
standard error of the mean difference over the repeats, which is slightly too small as they share
photos. "chosen" is the choice of `--pca auto` from the references alone; its bytes are means. int8
stores r values of one byte and a float32 scale per row.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from pocketknn.builder import InputError, References, Spec, embed, find, load_backbone
from pocketknn.builder.knn import exact as knn
from pocketknn.builder.knn.projection.pca import components
from pocketknn.builder.knn.projection.pca_size import best_components

K = 5
SIZES, POWERS = (64, 128, 256), (0.0, 0.5, 1.0)
RAW, FIRST, CHOSEN = "raw cosine", "length 1 first, then centred", "chosen by --pca auto"


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--embeddings", type=Path, nargs="*", default=[])
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    parser.add_argument("--weights", type=Path, help="of MobileNetV2 1.0, for --photos")
    parser.add_argument("--exclude", nargs="*", default=["BACKGROUND_Google"], help="classes")
    parser.add_argument("--parts", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    given = parser.parse_args()
    sets = {path.stem: loaded(path) for path in given.embeddings}
    sets |= {path.name: embedded(path, given.weights) for path in given.photos}
    for name, every in sets.items():
        unwanted = [label for label in given.exclude if label in every.labels]
        print_table(name, every.remove(classes=unwanted), given.parts, given.repeats)


def loaded(path: Path) -> References:
    """The embeddings of a file."""
    with np.load(path) as held:
        return References.of(held["x"], [str(label) for label in held["y"]])


def embedded(folder: Path, weights: Path | None) -> References:
    """The embeddings of photos in one folder for each class."""
    spec = Spec(backbone="mobilenet_v2", weights=weights)
    return embed(find(folder), load_backbone(spec), spec.crop).references()


def print_table(name: str, references: References, parts: int, repeats: int) -> None:
    """Print Markdown, a row for each kind of vectors."""
    found: dict[str, list[list[float]]] = {}
    for repeat in range(repeats):
        splitter = StratifiedKFold(parts, shuffle=True, random_state=repeat)
        for train, test in splitter.split(references.vectors, references.label_ids):
            one = references.subset(train)
            queries, wanted = references.vectors[test], references.label_ids[test]
            for way, width, here, there in ways(one, queries):
                rows = knn.unit(here)
                both = [accuracy(held, one, there, wanted) for held in (rows, rounded(rows))]
                found.setdefault(way, []).append([*both, width])
    per_class = len(references) // len(references.labels)
    print(f"\n{name}: {len(references.labels)} classes × {per_class}, {repeats} × {parts} parts\n")
    print("| | float32, bytes | 5-NN | minus raw | int8, bytes | 5-NN | minus raw |")
    print("|---" * 7 + "|")
    base = np.array(next(iter(found.values())))[:, 0]
    whole = len(base)
    for way, values in found.items():
        numbers = np.array(values)
        if len(numbers) < whole:  # some training parts were too small for this size
            continue
        cells, width = [way], round(numbers[:, 2].mean())
        for column, size in ((0, 4 * width), (1, width + 4)):
            loss = numbers[:, column] - base
            by_repeat = [part.mean() for part in np.array_split(loss, repeats)]
            error = np.std(by_repeat, ddof=1) / np.sqrt(repeats) if repeats > 1 else float("nan")
            cells += [f"{size}", f"{numbers[:, column].mean():.1%}"]
            cells += [f"{100 * loss.mean():+.1f} ± {100 * error:.1f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


Way = tuple[str, int, NDArray[np.float64], NDArray[np.float64]]


def ways(references: References, queries: NDArray[np.float32]) -> Iterator[Way]:
    """Name, values per reference, and the vectors of references and queries that are compared."""
    rows, dim = references.vectors.astype(np.float64), references.dim
    wide = queries.astype(np.float64)
    yield RAW, dim, rows, wide
    yield "centred", dim, rows - rows.mean(axis=0), wide - rows.mean(axis=0)
    middle = knn.unit(rows).mean(axis=0)
    yield FIRST, dim, knn.unit(rows) - middle, knn.unit(wide) - middle
    most = min(len(references) - 1, dim)
    found = components(references.vectors, most)
    for size in SIZES:
        for power in POWERS if size <= most else ():
            projection = found.projection(size, power)
            yield f"PCA {size}, power {power:g}", size, projection(rows), projection(wide)
    try:
        spec = best_components(Spec(pca="auto", k=K, vote="uniform", head="classify"), references)
        projection = found.projection(int(spec.pca or 0), spec.whiten or 0.0)
        yield CHOSEN, int(spec.pca or 0), projection(rows), projection(wide)
    except InputError:  # no projection is as good as none, so a build would have none
        yield CHOSEN, dim, rows, wide


def rounded(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows as stored in int8: 127 steps up to the largest value of each row."""
    step = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-30) / 127
    held: NDArray[np.float64] = np.round(rows / step) * step
    return held


def accuracy(
    rows: NDArray[np.float64],
    references: References,
    queries: NDArray[np.float64],
    wanted: NDArray[np.int64],
) -> float:
    """Share of correct answers; rows are not normalised, so rounded ones differ a little from 1."""
    scores = knn.unit(queries) @ rows.T
    votes = knn.vote(knn.rank(scores, K), references.label_ids, len(references.labels))
    return float((knn.winners(votes) == wanted).mean())


if __name__ == "__main__":
    main()
