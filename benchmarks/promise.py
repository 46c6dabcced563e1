"""Whether the accuracy that a build promises is the one measured on other photos.

    python benchmarks/promise.py [FILE.parquet ...] [--draws 20] [--at 2 3 5 10 20]

A FILE holds references, as `pocketknn build` writes them. Without a FILE, or in addition with
`--digits`, the pixels of scikit-learn's digits are used. Near-copies count once. Each draw takes
the given number of photos per class as references, fits them with all defaults, and uses up to
3,000 of the remaining photos as queries; classes with fewer than 5 of these are left out.

Prints a Markdown table, a row for each set and number of photos: the accuracy measured on the
queries; how many points the promise is above it, mean and standard deviation over the draws; the
width of the promised interval relative to Wilson's; in how many draws the promised interval
contains the measured accuracy, and in how many it overlaps Wilson's interval of that.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from pocketknn.builder import References, Spec
from pocketknn.builder.choices.heads.classify import winners
from pocketknn.builder.knn.resolve import fit
from pocketknn.builder.knn.validation.folds import groups
from pocketknn.builder.knn.validation.leave_one_out import leave_one_out
from pocketknn.builder.knn.validation.promise import wilson

LEFT_OVER, MOST_QUERIES = 5, 3000
COLUMNS = "set|photos per class|classes|measured|promised − measured|width|contains|overlaps"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--digits", action="store_true")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--at", type=int, nargs="+", default=[2, 3, 5, 10, 20])
    given = parser.parse_args()
    sets = {path.stem: References.load(path) for path in given.files}
    if given.digits or not sets:
        pixels = load_digits()
        labels = [f"{digit}" for digit in pixels.target]
        sets["digits"] = References.of(pixels.data.astype(np.float32), labels)
    print(f"| {COLUMNS.replace('|', ' | ')} |\n{'|---' * 8}|", flush=True)
    with threadpool_limits(1):
        for name, every in sets.items():
            pictures = groups(every.vectors, every.sha256, every.label_ids)
            references = every.select(np.unique(pictures))
            for photos in given.at:
                if row := measured(references, photos, given.draws):
                    print(f"| {name} | {photos} | {row} |", flush=True)


def measured(references: References, photos: int, draws: int) -> str | None:
    """The other columns of a row; None if too few photos would remain as queries."""
    sizes = np.bincount(references.label_ids)[references.label_ids]
    rows = np.flatnonzero(sizes >= photos + LEFT_OVER)
    if len(np.unique(references.label_ids[rows])) < 2:
        return None
    kept = references.select(rows)
    found = np.array([drawn(kept, photos, seed) for seed in range(draws)])
    accuracy, above, width, contains, overlaps = found.T
    return (
        f"{len(kept.labels)} | {accuracy.mean():.1%} | {100 * above.mean():+.1f} ± "
        f"{100 * above.std():.1f} | {width.mean():.2f} | {contains.sum():.0f} of {draws} |"
        f" {overlaps.sum():.0f} of {draws}"
    )


def drawn(references: References, photos: int, seed: int) -> NDArray[np.float64]:
    """One draw: accuracy, promise minus accuracy, width over Wilson's, contains, overlaps."""
    draw = np.random.default_rng(seed)
    ids = references.label_ids
    rows = np.concatenate(
        [draw.permutation(np.flatnonzero(ids == one))[:photos] for one in range(ids.max() + 1)]
    )
    others = draw.permutation(np.setdiff1d(np.arange(len(ids)), rows))[:MOST_QUERIES]
    fitted = fit(Spec(backbone="vector", seed=seed), references.select(np.sort(rows)))
    answered = winners(fitted.answers(fitted.search(references.vectors[others])))
    accuracy = float((answered == ids[others]).mean())
    promised = leave_one_out(fitted)
    assert promised is not None
    assert promised.accuracy is not None
    assert promised.interval is not None
    (low, high), (bottom, top) = promised.interval, wilson(accuracy, len(others))
    usual = np.subtract(*wilson(promised.accuracy, promised.queries)[::-1])
    contains, overlaps = low <= accuracy <= high, low <= top and bottom <= high
    above = promised.accuracy - accuracy
    return np.array([accuracy, above, (high - low) / usual, contains, overlaps])


if __name__ == "__main__":
    main()
