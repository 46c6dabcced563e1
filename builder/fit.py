"""What is found out about the references before the graph is wired.

k, the projection, the threshold, and how the references are stored and searched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from . import neighbors, unknown
from .accuracy import best_k
from .components import best_components
from .errors import InputError
from .index import Index
from .indexing import index
from .memory import check_room
from .neighbors import METRICS, Floats, Neighbors
from .projection import pca
from .references import References
from .space import Space
from .spec import AUTO, UNKNOWN, Spec, resolve_k

_BROADCAST_LIMIT = 1 << 28  # bytes of the differences to all references, which a phone must hold


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A spec whose `auto`s and defaults are numbers, over its references.

    Attributes:
        spec: with `head`, an int `k`, `pca` and `reject` a number or None.
        space: the references, under the spec's metric and projection.
        index: how they are stored and searched; None for one dense layer of float32.
    """

    spec: Spec
    space: Space
    index: Index | None = None

    @property
    def references(self) -> References:
        """The stored examples."""
        return self.space.references

    @property
    def k(self) -> int:
        """How many neighbours."""
        return int(self.spec.k or 1)

    @property
    def threshold(self) -> float | None:
        """The least score of the nearest neighbour of what is known, or None."""
        return None if self.spec.reject is None else float(self.spec.reject)

    @property
    def labels(self) -> tuple[str, ...]:
        """What each value of `probabilities` stands for; empty without a vote."""
        if self.spec.head != "classify":
            return ()
        return self.references.labels + ((UNKNOWN,) if self.threshold is not None else ())

    @property
    def approximate(self) -> bool:
        """Whether a file may miss a neighbour, or tell less of a score than float32 does."""
        return self.index is not None and self.index.approximate

    @property
    def stored_error(self) -> float:
        """The most that a score is off because references are stored in few digits."""
        return 0.0 if self.index is None else self.index.error

    def exact_hit(self, precision: str) -> float:
        """As `Space.exact_hit`, for the coarser of the backbone and the references."""
        kinds = [precision] if self.index is None else [precision, self.index.precision]
        return max(self.space.exact_hit(kind) for kind in kinds)

    def search(self, embeddings: NDArray[np.floating]) -> Neighbors:
        """The exact k nearest of each embedding (q, d)."""
        return self.space.search(embeddings, self.k)

    def votes(self, found: Neighbors, precision: str = "float32") -> Floats:
        """What `probabilities` are for these neighbours: (q, len(labels))."""
        votes = neighbors.vote(
            found,
            self.references.label_ids,
            len(self.references.labels),
            by=self.spec.vote,
            balanced=self.spec.balanced,
            metric=self.spec.metric,
            exact_hit=self.exact_hit(precision),
        )
        if self.threshold is None:
            return votes
        return neighbors.with_unknown(votes, found.scores, self.threshold)

    def values(self, found: Neighbors, precision: str = "float32") -> Floats:
        """What `value` is for these neighbours: (q, T)."""
        return neighbors.mean(
            found,
            self.references.targets,
            by=self.spec.vote,
            metric=self.spec.metric,
            exact_hit=self.exact_hit(precision),
        )


def fit(spec: Spec, references: References) -> Fit:
    """Find k, the projection and the threshold of unknown.

    Raises:
        InputError: the references do not have what the spec asks for: so many of them, labels,
            targets, components; or it takes more memory than is free, or than is sensible.
    """
    n = len(references)
    check_room(spec, n, references.dim, held=True)
    head = spec.head or _default_head(references)
    _check_head(head, spec, references)
    k = spec.k if spec.k == AUTO else resolve_k(spec.k, n)
    if spec.pca == AUTO:
        spec = best_components(spec, head, references)
    projection = None
    if isinstance(spec.pca, int | float):
        projection = pca(references.vectors, spec.pca, spec.whiten or 0.0)
    check_memory(spec.metric, n, projection.kernel.shape[1] if projection else references.dim)
    space = Space(references=references, metric=spec.metric, projection=projection, seed=spec.seed)
    spec = replace(spec, head=head, k=best_k(spec, space, head) if k == AUTO else k)
    if spec.reject == AUTO:
        spec = replace(spec, reject=unknown.threshold(space, spec.false_rejection))
    found = index(spec, space, int(spec.k or 1))
    if found is not None and found.search != "exact":
        spec = replace(spec, search=found.search, candidates=found.candidates)
        spec = replace(spec, probes=found.probes or None)
    elif spec.search == AUTO:
        spec = replace(spec, search="exact")
    return Fit(spec=spec, space=space, index=found)


def _default_head(references: References) -> str:
    if references.target_names:
        return "regress"
    return "classify" if references.labels else "neighbors"


def _check_head(head: str, spec: Spec, references: References) -> None:
    if head == "classify" and not references.labels:
        raise InputError("the head 'classify' needs labels; choose the head 'neighbors'")
    if head == "regress" and not references.target_names:
        raise InputError("the head 'regress' needs numeric targets: name their --target-column")
    if head == "neighbors" and spec.k == AUTO and not references.labels:
        raise InputError("k = auto is chosen by accuracy, which needs labels or targets")
    if spec.reject is not None and head != "classify":
        raise InputError(f"reject adds a class, which the head {head!r} has not")
    if spec.reject is not None and UNKNOWN in references.labels:
        raise InputError(f"with reject, the class name {UNKNOWN!r} is reserved; rename yours")


def check_memory(metric: str, n: int, r: int) -> None:
    """Refuse metrics without a product, where the differences to all references are too many."""
    needed = n * r * 4
    if METRICS[metric] in (0, 2) or needed <= _BROADCAST_LIMIT:
        return
    raise InputError(
        f"{metric} distances to {n} references of {r} values take {needed >> 20} MiB at each"
        f" query, the limit is {_BROADCAST_LIMIT >> 20} MiB; take fewer references, --pca, or the"
        " metric euclidean or cosine"
    )
