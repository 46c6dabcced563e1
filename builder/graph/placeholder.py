"""Made-up references, so that one conversion of a graph serves any references."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.searches.index import LARGEST, Codes, Index
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.metric_space import Space
from pocketknn.builder.references.references import References

# Where the search for unused sizes begins.
_CLASSES, _REFERENCES = 251, 283
_NEIGHBORS, _WIDTH, _DIM = 29, 97, 131
# The same for every metric: templates must depend on as little as possible.
_SPARE = max(metric.SPARE for metric in METRICS.values())
# Arbitrary numbers that occur nowhere else in a graph.
_THRESHOLD, _TEMPERATURE = 0.6180339887, 0.0437193


def is_fixed(fit: Fit) -> bool:
    """Whether the number of references changes more of a graph than the sizes of its tensors.

    With very few references the Euclidean search has as many candidates as references, and a file
    that grows lists neighbours that do not exist yet.
    """
    return len(fit.references) < fewest(fit)


def fewest(fit: Fit) -> int:
    """The minimum number of references from which only the sizes of a graph's tensors vary."""
    spare = fit.metric.SPARE
    return fit.listed + spare + 1 if spare > 0 else fit.listed


def stand_in(fit: Fit, taken: Collection[int], *, free: bool = False) -> Fit:
    """A fit of the same graph over made-up references.

    No other size in the graph equals the number of references or of classes, and no other tensor
    has the values of the constants derived from them, so both can be located in a converted file.

    Args:
        fit: the choices; of its references, only the width, the target names and whether there
            are labels matter.
        taken: sizes used by other parts of the graph.
        free: whether its `free_sizes` are made up too.
    """
    references, spec, projection = fit.references, fit.spec, fit.space.projection
    index, k = fit.index, fit.k
    draw = np.random.default_rng(0)
    d = references.dim
    r = d if projection is None else len(projection.bias)
    if free and fit.free_sizes:
        k, d, r = _made_up(fit, {*taken, len(references.target_names)})
        spec = replace(spec, k=k)
    # r + 1: the Euclidean search appends a value to each row.
    taken = {*taken, d, r, r + 1, k, k + _SPARE, len(references.target_names)}
    if index is not None:
        taken |= {index.candidates, index.width}
    spare, grown = fit.spec.spare or 0, fit.slots
    if grown:
        taken |= {grown, grown + k}
    votes = _prime(_CLASSES + spare, taken) if references.labels else 0
    c = votes - spare if votes else 0
    minimum = max(_REFERENCES, k + _SPARE + 1, index.candidates + 1 if index else 0)
    taken |= {votes, votes + 1}
    if grown:  # n - k must not occur either, and each class has a reference
        minimum = max(minimum, c)
        taken |= {size + k for size in taken}
    n = _prime(minimum, taken)
    targets = draw.normal(size=(n, len(references.target_names))).astype(np.float32)
    labels = draw.permutation(np.arange(n) % max(c, 1))
    made = References.of(
        draw.normal(size=(n, d)).astype(np.float32),
        [f"class-{label:03}" for label in labels] if c else None,
        targets=targets if references.target_names else None,
        target_names=references.target_names or None,
    )
    if projection is not None:
        projection = replace(
            projection,
            kernel=draw.normal(size=(d, r)).astype(np.float32),
            bias=draw.normal(size=r).astype(np.float32),
        )
    space = Space(references=made, metric=spec.metric, projection=projection, seed=spec.seed)
    if index is not None:
        index = _index(index, n, draw)
    return Fit(
        spec=replace(
            spec,
            reject=None if fit.threshold is None else _THRESHOLD,
            temperature=None if spec.temperature is None else _TEMPERATURE,
        ),
        space=space,
        index=index,
    )


def _made_up(fit: Fit, taken: Collection[int]) -> tuple[int, int, int]:
    """k, the embedding length and the compared width, made up where that is allowed."""
    free, projected = fit.free_sizes, fit.space.projection is not None
    k = _prime(_NEIGHBORS, taken) if "neighbors" in free else 1
    taken = {*taken, k, k + _SPARE}
    r = _prime(_WIDTH, taken) if "width" in free else 1
    if not projected:
        return k, r, r
    return k, _prime(_DIM, {*taken, r, r + 1}) if "dim" in free else 1, r


def _index(index: Index, n: int, draw: np.random.Generator) -> Index:
    """The same kind of index over n made-up references."""
    r, w = index.table.shape[1], index.width

    def bytes_(*shape: int) -> NDArray[np.int8]:
        return draw.integers(-LARGEST, LARGEST + 1, shape).astype(np.int8)

    def floats(*shape: int) -> NDArray[np.float32]:
        return draw.normal(size=shape).astype(np.float32)

    codes = index.codes and Codes(bytes_(n, r), floats(r), floats(r))
    return replace(
        index,
        table=codes.values if codes else floats(n, r).astype(index.table.dtype),
        codes=codes,
        rotation=None if index.rotation is None else floats(r, w),
        scan=None if index.scan is None else bytes_(n, w),
    )


def _prime(minimum: int, taken: Collection[int]) -> int:
    """The first prime from `minimum` on such that neither it nor its successor is taken."""
    found = minimum
    while {found, found + 1} & {*taken} or any(found % d == 0 for d in range(2, found)):
        found += 1
    return found
