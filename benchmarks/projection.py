"""What projections cost or gain in accuracy, and how few bytes a reference then takes.

    python benchmarks/projection.py --embeddings FILE.npz [--parts 2] [--repeats 10]
    python benchmarks/projection.py --photos FOLDER --weights mobilenet_v2_1.0_224.weights.h5

Prints a Markdown table of 5-NN by cosine. FILE holds x (n, d), the embeddings, and y, their labels;
a folder is embedded by MobileNetV2 1.0. The photos are put into parts, each with its share of every
class, and each part is asked of the other ones, whose projection never saw it: with two parts, the
references are one half and the questions the other half. This is done over with other parts. Each
row of the table is held against raw cosine on the same parts; ± is the standard error of the mean
difference over the repeats, which share photos, so it is a little small. "chosen" is what `--pca
auto` takes of the references alone, its bytes are means. int8 stores r values of one byte and a
float32 scale a row.
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
    """Measure and print."""
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
    """Markdown, a row for each way."""
    found: dict[str, list[list[float]]] = {}
    for repeat in range(repeats):
        splitter = StratifiedKFold(parts, shuffle=True, random_state=repeat)
        for train, test in splitter.split(references.vectors, references.label_ids):
            one = references.subset(train)
            queries, wanted = references.vectors[test], references.label_ids[test]
            for way, width, here, asked in ways(one, queries):
                rows = knn.unit(here)
                said = [accuracy(held, one, asked, wanted) for held in (rows, rounded(rows))]
                found.setdefault(way, []).append([*said, width])
    per_class = len(references) // len(references.labels)
    print(f"\n{name}: {len(references.labels)} classes × {per_class}, {repeats} × {parts} parts\n")
    print("| | float32, bytes | 5-NN | against raw | int8, bytes | 5-NN | against raw |")
    print("|---" * 7 + "|")
    base = np.array(next(iter(found.values())))[:, 0]
    whole = len(base)
    for way, values in found.items():
        numbers = np.array(values)
        if len(numbers) < whole:  # some training parts were too small for it
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
    """Name, values of a reference, and what is compared of references and of queries."""
    rows, dim = references.vectors.astype(np.float64), references.dim
    asked = queries.astype(np.float64)
    yield RAW, dim, rows, asked
    yield "centred", dim, rows - rows.mean(axis=0), asked - rows.mean(axis=0)
    middle = knn.unit(rows).mean(axis=0)
    yield FIRST, dim, knn.unit(rows) - middle, knn.unit(asked) - middle
    most = min(len(references) - 1, dim)
    found = components(references.vectors, most)
    for size in SIZES:
        for power in POWERS if size <= most else ():
            projection = found.projection(size, power)
            yield f"PCA {size}, power {power:g}", size, projection(rows), projection(asked)
    try:
        spec = best_components(Spec(pca="auto", k=K, vote="uniform", head="classify"), references)
        projection = found.projection(int(spec.pca or 0), spec.whiten or 0.0)
        yield CHOSEN, int(spec.pca or 0), projection(rows), projection(asked)
    except InputError:  # nothing is as good as no projection, so a build would have none
        yield CHOSEN, dim, rows, asked


def rounded(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows as int8 holds them: 127 steps up to the largest value of each row."""
    step = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-30) / 127
    held: NDArray[np.float64] = np.round(rows / step) * step
    return held


def accuracy(
    rows: NDArray[np.float64],
    references: References,
    queries: NDArray[np.float64],
    wanted: NDArray[np.int64],
) -> float:
    """Share of right answers, the rows as they are: rounded ones are not quite of length 1."""
    scores = knn.unit(queries) @ rows.T
    votes = knn.vote(knn.rank(scores, K), references.label_ids, len(references.labels))
    return float((knn.winners(votes) == wanted).mean())


if __name__ == "__main__":
    main()
