"""References that are made up, to convert a graph once whatever references it will hold."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from .fit import Fit
from .projection import Projection
from .references import References
from .search import SPARE
from .space import Space

_CLASSES, _REFERENCES = 251, 283  # where the search for sizes begins
_THRESHOLD = 0.6180339887  # any number that nothing else in a graph is


def is_fixed(fit: Fit) -> bool:
    """Whether the number of references decides more of a graph than sizes of its tensors.

    The Euclidean search has as many candidates as references, where these are very few.
    """
    return fit.spec.metric == "euclidean" and len(fit.references) <= fit.k + SPARE


def stand_in(fit: Fit, taken: Collection[int]) -> Fit:
    """A fit of the same graph over made-up references.

    Their number and that of their classes are found nowhere else in the graph, and so are the
    values of what depends on them: in a converted file both tell where they lie.

    Args:
        fit: the choices; of its references only the width counts, and which kinds of labels.
        taken: sizes that other parts of the graph have.
    """
    references, spec, projection = fit.references, fit.spec, fit.space.projection
    draw = np.random.default_rng(0)
    r = references.dim if projection is None else len(projection.bias)
    # r + 1: the Euclidean search puts a last value behind each row.
    taken = {*taken, references.dim, r, r + 1, fit.k, fit.k + SPARE, len(references.target_names)}
    c = _prime(_CLASSES, taken) if references.labels else 0
    n = _prime(max(_REFERENCES, fit.k + SPARE + 1), {*taken, c, c + 1})
    targets = draw.normal(size=(n, len(references.target_names))).astype(np.float32)
    labels = draw.permutation(np.arange(n) % max(c, 1))
    made = References.of(
        draw.normal(size=(n, references.dim)).astype(np.float32),
        [f"class-{label:03}" for label in labels] if c else None,
        targets=targets if references.target_names else None,
        target_names=references.target_names or None,
    )
    if projection is not None:
        projection = Projection(
            kernel=draw.normal(size=projection.kernel.shape).astype(np.float32),
            bias=draw.normal(size=projection.bias.shape).astype(np.float32),
            variance=1.0,
        )
    space = Space(references=made, metric=spec.metric, projection=projection, seed=spec.seed)
    return Fit(
        spec=replace(spec, reject=None if fit.threshold is None else _THRESHOLD), space=space
    )


def _prime(least: int, taken: Collection[int]) -> int:
    """The first prime from `least` on that, like the number after it, is not taken."""
    found = least
    while {found, found + 1} & {*taken} or any(found % d == 0 for d in range(2, found)):
        found += 1
    return found
