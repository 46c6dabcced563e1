"""Accuracy and calibration of a build, compared with simpler methods and logistic regression.

    python benchmarks/answers.py --embeddings FILE.npz ... [--shift FROM.npz TO.npz] ...
    python benchmarks/answers.py --photos FOLDER ... [--draws 5] [--at 1 2 5 10 20 40]

Prints a Markdown table. A FILE holds x (n, d), embeddings; y, their labels, or indices into
`names`; and optionally `group`: all photos of a group are references, or all are queries. A folder
stands for all files in it. Photos, one folder per class, are embedded by the default backbone, and
pocketknn's cache stores the embeddings. With neither, the pixels of scikit-learn's digits are used.
`--shift` takes references from one file and queries from another that has the same labels.

Each draw takes the given number of photos per class as references, and up to `--queries` of the
others as queries. With groups, half of a class's groups are references and the other half queries.
A class is left out if it has fewer than 5 queries, a setting if it has fewer than 100. All methods
have the same references and queries:

- former default: cosine of all of the embedding, uniform vote of 5, ties to the first class
- nearest: the class of the nearest reference, by cosine
- means: the class with the nearest mean of unit embeddings, by cosine
- regression: multinomial logistic regression on unit embeddings, its strength by cross-validated
  log-loss (as many folds as photos per class, 5 at most; C = 100 at one photo per class)
- pocketknn: `fit` with all defaults, and its vote

A cell is accuracy in percent / log-loss, with probabilities clipped at 1e-6 / expected calibration
error in 15 bins, minus that of a perfectly calibrated model with the same confidences on as many
queries, and not below 0. Nearest and means answer with probability 1: their calibration error is
their error rate. Differences are in points, with the standard error of their mean over the draws,
which is slightly too small as draws share photos.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import summary
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold
from summary import Ratio
from threadpoolctl import threadpool_limits

from pocketknn.builder import References, Spec, embed, find, load_backbone
from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.choices.metrics.cosine import unit
from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.embedding.cache import Embeddings
from pocketknn.builder.knn.exact import Floats
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.system.cache import USUAL

FORMER, NEAREST, MEANS, REGRESSION, OURS = WAYS = (
    "former default",
    "nearest",
    "means",
    "regression",
    "pocketknn",
)
MIN_OF_CLASS, MIN_QUERIES = 5, 100
BINS, SIMULATED = 15, 50
STRENGTHS = np.logspace(-1, 5, 13)  # scikit-learn's C


class Photos(NamedTuple):
    """Embeddings (n, d) with the label and the group of each; `group` is None without groups."""

    x: NDArray[np.float32]
    y: NDArray[np.str_]
    group: NDArray[np.str_] | None = None


class Draw(NamedTuple):
    """References, and queries (q, d) with the number of the class that each should get."""

    references: References
    queries: NDArray[np.float32]
    wanted: Ints


class Setting(NamedTuple):
    """The results of all draws of one set with one number of photos per class.

    Attributes:
        name: name of the set.
        photos: number of photos per class.
        classes: number of classes.
        queries: mean number of queries.
        measures: (draws, methods, 3), as from `measured`.
    """

    name: str
    photos: int
    classes: int
    queries: float
    measures: Floats


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--embeddings", type=Path, nargs="*", default=[], help="files or folders")
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    parser.add_argument("--shift", type=Path, nargs=2, action="append", default=[])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--at", type=int, nargs="+", default=[1, 2, 5, 10, 20, 40])
    parser.add_argument("--queries", type=int, default=1500, help="maximum number per draw")
    summary.option(parser)
    given = parser.parse_args()
    sets = {path.stem: loaded(path) for path in files(given.embeddings)}
    sets |= {path.name: embedded(path) for path in given.photos}
    if not sets and not given.shift:
        pixels = load_digits()
        sets["digits, pixels"] = Photos(pixels.data, pixels.target.astype(str))
    seconds = Seconds([], [])
    settings: list[Setting] = []
    moved: list[Setting] = []

    def run(name: str, here: Photos, there: Photos | None, into: list[Setting]) -> None:
        for photos in given.at:
            drawn = [draw(here, there, photos, seed, given.queries) for seed in range(given.draws)]
            every = [one for one in drawn if one is not None]
            if len(every) == given.draws:
                into.append(setting(name, photos, every, seconds))

    # With one photo per class, scikit-learn suspects a regression task.
    warnings.filterwarnings("ignore", "The number of unique classes")
    with threadpool_limits(1):
        for name, photos in sets.items():
            run(name, photos, None, settings)
        for one, other in given.shift:
            run(f"{one.stem} → {other.stem}", loaded(one), loaded(other), moved)
    print_table(settings, moved)
    print(f"\n{seconds}")
    summary.add(given.summary, [Ratio("fit with defaults", "tuned regression", seconds.ratio())])


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files, and those in folders."""
    for path in paths:
        yield from sorted(path.glob("*.npz")) if path.is_dir() else [path]


def loaded(path: Path) -> Photos:
    """The embeddings of a file."""
    with np.load(path) as held:
        labels = held["names"][held["y"]] if "names" in held else held["y"]
        group = held["group"].astype(str) if "group" in held else None
        return Photos(held["x"], labels.astype(str), group)


def embedded(folder: Path) -> Photos:
    """Photos in one folder per class by the default backbone; copies of one file count once."""
    spec = Spec()
    backbone = load_backbone(spec)
    kept = Embeddings.of(USUAL, backbone, spec.crop)
    found = embed(find(folder), backbone, spec.crop, cache=kept).references().without_copies()
    return Photos(found.vectors, np.array(found.labels)[found.label_ids])


def draw(here: Photos, there: Photos | None, photos: int, seed: int, most: int) -> Draw | None:
    """Draw references and queries; with one seed, smaller sets of references are part of larger.

    Args:
        here: source of the references.
        there: source of the queries; None for the other photos of `here`.
        photos: number of references per class.
        seed: random seed.
        most: maximum number of queries; if there are more, a sample is drawn.

    Returns:
        None if there are too few photos.
    """
    rng = np.random.default_rng(seed)
    stored, left = [], []
    sides: dict[str, bool] = {}  # whether a group's photos are references
    for label in np.unique(here.y):
        rows = rng.permutation(np.flatnonzero(here.y == label))
        if here.group is not None:
            new = rng.permutation(sorted(set(here.group[rows]) - set(sides)))
            sides |= {name: place < len(new) // 2 for place, name in enumerate(new)}
            mine = np.array([sides[name] for name in here.group[rows]])
            references, queries = rows[mine], rows[~mine]
        else:
            references, queries = rows, rows[photos:]
        if there is not None:
            queries = np.flatnonzero(there.y == label)
        if len(references) >= photos and len(queries) >= MIN_OF_CLASS:
            stored.append(references[:photos])
            left.append(queries)
    if len(stored) < 2 or sum(map(len, left)) < MIN_QUERIES:
        return None
    rows, queries = np.concatenate(stored), rng.permutation(np.concatenate(left))[:most]
    references, other = References.of(here.x[rows], list(here.y[rows])), there or here
    return Draw(references, other.x[queries], np.searchsorted(references.labels, other.y[queries]))


class Seconds(NamedTuple):
    """Processor seconds of each fit."""

    ours: list[tuple[float, int]]  # with the number of references
    regression: list[float]

    def ratio(self) -> float:
        """Our mean, relative to logistic regression's."""
        return float(np.mean([taken for taken, _ in self.ours]) / np.mean(self.regression))

    def __str__(self) -> str:
        """The means, and our slowest fit."""
        longest, count = max(self.ours)
        ours = np.mean([seconds for seconds, _ in self.ours])
        return (
            f"Processor seconds of a fit: pocketknn {ours:.2f}, at most {longest:.2f} with"
            f" {count:,} references; regression {np.mean(self.regression):.2f}, at most"
            f" {max(self.regression):.2f}."
        )


def setting(name: str, photos: int, drawn: Sequence[Draw], seconds: Seconds) -> Setting:
    """Run all methods on all draws, with a line on standard error for each."""
    measures = []
    for one in drawn:
        start = time.process_time()
        fitted = fit(Spec(backbone="vector"), one.references)
        seconds.ours.append((time.process_time() - start, len(one.references)))
        shares = fitted.answers(fitted.search(one.queries))
        start = time.process_time()
        regression = regressed(one)
        seconds.regression.append(time.process_time() - start)
        every = (*simple(one), regression, shares)
        measures.append([measured(way, one.wanted) for way in every])
        right = " ".join(f"{100 * accuracy:.1f}" for accuracy, _, _ in measures[-1])
        print(
            f"{name}, {photos}: {right}; {fitted.spec.projection}, T {fitted.temperature:.3f},"
            f" {seconds.ours[-1][0]:.2f} s",
            file=sys.stderr,
            flush=True,
        )
    queries = float(np.mean([len(one.queries) for one in drawn]))
    return Setting(name, photos, len(drawn[0].references.labels), queries, np.array(measures))


def simple(one: Draw) -> list[Floats]:
    """Probabilities (q, classes) of the former default, the nearest neighbour and the means."""
    references, classes = one.references, np.eye(len(one.references.labels))
    k = min(5, len(references))
    former = fit(Spec(backbone="vector", projection="none", vote="uniform", k=k), references)
    found = former.search(one.queries)
    nearest = classes[references.label_ids[found.indices[:, 0]]]
    means = classes[references.label_ids].T @ unit(references.vectors)
    closest = (unit(one.queries) @ unit(means).T).argmax(axis=1)
    return [former.answers(found), nearest, classes[closest]]


def regressed(one: Draw) -> Floats:
    """Probabilities (q, classes) of tuned logistic regression."""
    ids = one.references.label_ids
    rows, queries = unit(one.references.vectors), unit(one.queries)
    middle = rows.mean(axis=0)
    if len(rows) < rows.shape[1]:  # the references' span is all it can learn from
        _, _, span = np.linalg.svd(rows - middle, full_matrices=False)
        rows, queries = (rows - middle) @ span.T, (queries - middle) @ span.T
    few = int(np.bincount(ids).min())
    if few == 1:
        model = LogisticRegression(C=100, max_iter=1000)
    else:
        model = LogisticRegressionCV(
            Cs=STRENGTHS,
            cv=StratifiedKFold(min(5, few), shuffle=True, random_state=0),
            scoring="neg_log_loss",
            l1_ratios=(0,),
            max_iter=1000,
            use_legacy_attributes=False,
        )
    found: Floats = model.fit(rows, ids).predict_proba(queries)
    return found


def measured(shares: Floats, wanted: Ints) -> tuple[float, float, float]:
    """Accuracy, log-loss and calibration error of probabilities (q, classes)."""
    answers, rows = winners(shares), np.arange(len(shares))
    right, confidence = answers == wanted, shares[rows, answers]
    likely = np.clip(shares[rows, wanted], 1e-6, 1)
    rng = np.random.default_rng(0)
    perfect = [
        calibration(confidence, rng.random(len(rows)) < confidence) for _ in range(SIMULATED)
    ]
    error = calibration(confidence, right) - float(np.mean(perfect))
    return float(right.mean()), float(-np.log(likely).mean()), max(error, 0.0)


def calibration(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Mean difference of confidence and accuracy over bins, weighted by their number of answers."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, confidence - right)).sum() / len(bins))


def print_table(settings: Sequence[Setting], moved: Sequence[Setting]) -> None:
    """Print Markdown: each setting, then means, then the settings and means of shifts."""
    print("| set | photos per class | classes, queries | " + " | ".join(WAYS), end="")
    print(" | to regression | to nearest |\n" + "|---" * 10 + "|")
    for each, of in ((settings, "all sets"), (moved, "all shifts")):
        for one in each:
            print(
                f"| {one.name} | {one.photos} | {one.classes}, {one.queries:,.0f}",
                *cells(one.measures.mean(axis=0)),
                *(with_error(one, way) for way in (REGRESSION, NEAREST)),
                sep=" | ",
                end=" |\n",
            )
        counts = sorted({one.photos for one in each})
        several = [photos for photos in counts if photos > 1]
        for photos in counts:
            print_mean(f"{photos}", of, [one for one in each if one.photos == photos])
        if several:
            print_mean("2 and more", of, [one for one in each if one.photos > 1])


def print_mean(photos: str, of: str, settings: Sequence[Setting]) -> None:
    """Print a row of means over settings, with the mean and the worst difference."""
    means = np.array([one.measures.mean(axis=0) for one in settings])
    print(
        f"| **{of}, mean** | {photos} | settings: {len(settings)}",
        *cells(means.mean(axis=0)),
        *(
            f"{gains.mean():+z.1f}, worst {gains.min():+z.1f}"
            for gains in (100 * difference(means, way) for way in (REGRESSION, NEAREST))
        ),
        sep=" | ",
        end=" |\n",
    )


def cells(means: Floats) -> Iterator[str]:
    """The cells for mean measures (methods, 3)."""
    for way, (accuracy, loss, error) in zip(WAYS, means, strict=True):
        sure = way in (NEAREST, MEANS)
        yield f"{100 * accuracy:.1f}" + ("" if sure else f" / {loss:.2f} / {error:.3f}")


def with_error(one: Setting, way: str) -> str:
    """How many points of accuracy pocketknn is above another method."""
    gains = 100 * difference(one.measures, way)
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
    return f"{gains.mean():+z.1f} ± {error:.1f}"


def difference(measures: Floats, way: str) -> Floats:
    """Accuracy of pocketknn minus another method's (m,), from measures (m, methods, 3)."""
    found: Floats = measures[:, WAYS.index(OURS), 0] - measures[:, WAYS.index(way), 0]
    return found


if __name__ == "__main__":
    main()
