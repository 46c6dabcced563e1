"""References that are made up, to convert a graph once whatever references it will hold."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.searches.index import LARGEST, Cells, Codes, Index
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.metric_space import Space
from pocketknn.builder.references.references import References

_CLASSES, _REFERENCES = 251, 283  # where the search for sizes begins
_CELLS, _ROOM = 61, 11  # of cells, and of places in one
# The same whatever the metric: templates must not depend on more than they have to.
_SPARE = max(metric.SPARE for metric in METRICS.values())
# Any numbers that nothing else in a graph is.
_THRESHOLD, _TEMPERATURE = 0.6180339887, 0.0437193


def is_fixed(fit: Fit) -> bool:
    """Whether the number of references decides more of a graph than sizes of its tensors.

    The Euclidean search has as many candidates as references, where these are very few.
    """
    spare = fit.metric.SPARE
    return spare > 0 and len(fit.references) <= fit.k + spare


def stand_in(fit: Fit, taken: Collection[int]) -> Fit:
    """A fit of the same graph over made-up references.

    Their number and that of their classes are found nowhere else in the graph, and so are the
    values of what depends on them: in a converted file both tell where they lie.

    Args:
        fit: the choices; of its references only the width counts, and which kinds of labels.
        taken: sizes that other parts of the graph have.
    """
    references, spec, projection = fit.references, fit.spec, fit.space.projection
    index = fit.index
    draw = np.random.default_rng(0)
    r = references.dim if projection is None else len(projection.bias)
    # r + 1: the Euclidean search puts a last value behind each row.
    taken = {*taken, references.dim, r, r + 1, fit.k, fit.k + _SPARE, len(references.target_names)}
    if index is not None:
        taken |= {index.candidates, index.probes, index.width}
    c = _prime(_CLASSES, taken) if references.labels else 0
    least = max(_REFERENCES, fit.k + _SPARE + 1, index.candidates + 1 if index else 0)
    n = _prime(least, {*taken, c, c + 1})
    targets = draw.normal(size=(n, len(references.target_names))).astype(np.float32)
    labels = draw.permutation(np.arange(n) % max(c, 1))
    made = References.of(
        draw.normal(size=(n, references.dim)).astype(np.float32),
        [f"class-{label:03}" for label in labels] if c else None,
        targets=targets if references.target_names else None,
        target_names=references.target_names or None,
    )
    if projection is not None:
        projection = replace(
            projection,
            kernel=draw.normal(size=projection.kernel.shape).astype(np.float32),
            bias=draw.normal(size=projection.bias.shape).astype(np.float32),
        )
    space = Space(references=made, metric=spec.metric, projection=projection, seed=spec.seed)
    if index is not None:
        index = _index(index, n, {*taken, c, c + 1, n, n + 1}, draw)
    return Fit(
        spec=replace(
            spec,
            reject=None if fit.threshold is None else _THRESHOLD,
            temperature=None if spec.temperature is None else _TEMPERATURE,
        ),
        space=space,
        index=index,
    )


def _index(index: Index, n: int, taken: Collection[int], draw: np.random.Generator) -> Index:
    """The same kind of index over n made-up references."""
    r, w = index.table.shape[1], index.width

    def bytes_(*shape: int) -> NDArray[np.int8]:
        return draw.integers(-LARGEST, LARGEST + 1, shape).astype(np.int8)

    def floats(*shape: int) -> NDArray[np.float32]:
        return draw.normal(size=shape).astype(np.float32)

    codes = index.codes and Codes(bytes_(n, r), floats(r), floats(r))
    cells = None
    if index.cells is not None:
        # Also room × w and room × probes must be found nowhere else.
        count = _prime(max(_CELLS, index.probes + 1), taken)
        taken = {*taken, count, count + 1}
        room = max(_ROOM, -(-index.candidates // index.probes))
        while {room, room * w, room * index.probes} & {*taken}:
            room += 1
        # There must be such references: where a quantiser calibrates, the made-up graph is run.
        members = (draw.permutation(count * room) % n).reshape(count, room).astype(np.int32)
        cells = Cells(floats(count, w), floats(count), bytes_(count, room, w), members)
    return replace(
        index,
        table=codes.values if codes else floats(n, r).astype(index.table.dtype),
        codes=codes,
        rotation=None if index.rotation is None else floats(r, w),
        scan=None if index.scan is None else bytes_(n, w),
        cells=cells,
    )


def _prime(least: int, taken: Collection[int]) -> int:
    """The first prime from `least` on that, like the number after it, is not taken."""
    found = least
    while {found, found + 1} & {*taken} or any(found % d == 0 for d in range(2, found)):
        found += 1
    return found
