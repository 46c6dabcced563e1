"""What is found out about the references before the graph is wired.

k, the projection, the threshold, and how the references are stored and searched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError
from pocketknn.builder.index.choose import index
from pocketknn.builder.index.layout import Index
from pocketknn.builder.knn.projection.classes import discriminant, one_thread
from pocketknn.builder.knn.projection.pca import Projection, pca
from pocketknn.builder.knn.projection.pca_size import best_components
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import AUTO, UNKNOWN, Spec, resolve_k

from . import exact, rejection
from .evaluation import best_k
from .exact import METRICS, Floats, Ints, Neighbors
from .memory import check_room
from .metric_space import Space
from .temperature import Asked, most_likely, temperature, usual

# Widths of learned projections, and how many references there are where a wider one counts.
_WIDTHS = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_MANY = 500
_ENOUGH = 0.7  # share of its class that answers a photo, from where on whitening is judged
_BROADCAST_LIMIT = 1 << 28  # bytes of the differences to all references, which a phone must hold


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A spec whose `auto`s and defaults are numbers, over its references.

    Attributes:
        spec: with `head`, `vote`, an int `k`, a projection that is not `auto`, `pca`, `temperature`
            and `reject` a number or None.
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
    def temperature(self) -> float:
        """Of a soft vote; 1 without one."""
        return float(self.spec.temperature or 1.0)

    @property
    def scores_of(self) -> str:
        """What of the embeddings scores compare: `embedding`, `pca` or `classes`."""
        return self.space.scores_of

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
        votes = exact.vote(
            found,
            self.references.label_ids,
            len(self.references.labels),
            by=str(self.spec.vote),
            balanced=bool(self.spec.balanced),
            metric=self.spec.metric,
            exact_hit=self.exact_hit(precision),
            temperature=self.temperature,
        )
        if self.threshold is None:
            return votes
        return exact.with_unknown(votes, found.scores, self.threshold)

    def values(self, found: Neighbors, precision: str = "float32") -> Floats:
        """What `value` is for these neighbours: (q, T)."""
        return exact.mean(
            found,
            self.references.targets,
            by=str(self.spec.vote),
            metric=self.spec.metric,
            exact_hit=self.exact_hit(precision),
        )


def fit(spec: Spec, references: References) -> Fit:
    """Find k, the projection, the temperature of the vote and the threshold of unknown.

    Raises:
        InputError: the references do not have what the spec asks for: so many of them, labels,
            targets, components; or it takes more memory than is free, or than is sensible.
    """
    n = len(references)
    check_room(spec, n, references.dim, held=True)
    head = spec.head or _default_head(references)
    vote = spec.vote or ("soft" if head == "classify" else "uniform")
    balanced = vote == "soft" if spec.balanced is None else spec.balanced
    spec = replace(spec, head=head, vote=vote, balanced=balanced)
    _check_head(spec, references)
    if spec.k != AUTO:
        # Who names candidates means them to be enough for the neighbours.
        few = spec.k is None and vote == "soft"
        most = min(n, spec.candidates or n) if few else n
        spec = replace(spec, k=resolve_k(spec.k, most, vote))
    if spec.pca == AUTO:
        spec = _with_components(spec, references)
    spec, space = _projected(spec, references)
    check_memory(spec.metric, n, space.width)
    if vote == "soft" and spec.temperature is None:
        k = resolve_k(None, n, vote) if spec.k == AUTO else int(spec.k or 1)
        spec = replace(spec, temperature=temperature(space, k, balanced=balanced))
    if spec.k == AUTO:
        spec = replace(spec, k=best_k(spec, space, head))
    if spec.reject == AUTO:
        spec = replace(spec, reject=rejection.threshold(space, spec.false_rejection))
    found = index(spec, space, int(spec.k or 1))
    if found is not None and found.search != "exact":
        spec = replace(spec, search=found.search, candidates=found.candidates)
        spec = replace(spec, probes=found.probes or None)
    elif spec.search == AUTO:
        spec = replace(spec, search="exact")
    return Fit(spec=spec, space=space, index=found)


def _with_components(spec: Spec, references: References) -> Spec:
    """`pca:auto` as the number of components that answers best."""
    trial = spec
    if spec.vote == "soft" and spec.temperature is None:  # one for all numbers of components
        plain = space_of(replace(spec, projection="none", pca=None, whiten=None), references)
        k = resolve_k(None if spec.k == AUTO else spec.k, len(references), "soft")
        trial = replace(spec, temperature=temperature(plain, k, balanced=bool(spec.balanced)))
    found = best_components(trial, str(spec.head), references)
    return replace(spec, pca=found.pca, whiten=found.whiten)


def space_of(spec: Spec, references: References) -> Space:
    """The references under a metric and a projection, which is found anew for each fold.

    Args:
        spec: with a head, a vote, and a projection other than `auto`.
        references: the stored examples.

    Raises:
        InputError: the projection cannot be found from them.
    """
    with one_thread():
        projection = _projection(spec, references.vectors, references.label_ids)
    if projection is not None and projection.by == "classes":
        projection = projection.padded(_width(len(projection.bias), references.dim))
    return Space(
        references=references,
        metric=spec.metric,
        projection=projection,
        seed=spec.seed,
        refit=partial(_refitted, spec) if projection is not None or spec.vote == "soft" else None,
    )


def _projected(spec: Spec, references: References) -> tuple[Spec, Space]:
    """The space, where `auto` is what cross-validation is for.

    It is for what tells classes apart, unless plain cosine gives the photos' own classes clearly
    more of the vote, by two standard errors of the difference. Where a part takes more than three
    tenths of its classes, which is so with two or three photos each, that proves nothing: the rest
    is too little to whiten by, but all of them are enough.
    """
    if spec.projection != AUTO:
        return spec, space_of(spec, references)
    plain = replace(spec, projection="none")
    if spec.head != "classify" or spec.metric != "cosine":
        return plain, space_of(plain, references)
    learned = replace(spec, projection="classes")
    before = space_of(replace(plain, vote="soft"), references)  # in the same folds
    try:
        after = replace(space_of(learned, references), known_pictures=before.pictures)
        alike = [one.test.tolist() for one in after.folds] == [
            one.test.tolist() for one in before.folds
        ]
    except InputError:  # a single class, or embeddings that are all the same
        return plain, space_of(plain, references)
    if not after.folds or not alike:  # too little tells how photos of a class differ
        return plain, space_of(plain, references)
    k = resolve_k(None if spec.k == AUTO else spec.k, len(references), "soft")
    balanced = bool(spec.balanced)
    one, other = (Asked.of(space, k, balanced=balanced) for space in (before, after))
    warm, warmer = most_likely(one, usual(before)), most_likely(other, usual(after))
    gain = other.log_shares(warmer * other.handicap) - one.log_shares(warm * one.handicap)
    gain *= other.counts
    error = gain.std() / np.sqrt(len(gain))
    loses = other.left.mean() >= _ENOUGH and gain.mean() < -2 * error
    chosen, space, found = (plain, before, warm) if loses else (learned, after, warmer)
    if loses and spec.vote != "soft":
        space = space_of(plain, references)
    if spec.vote == "soft" and spec.temperature is None and spec.k != AUTO:
        chosen = replace(chosen, temperature=found)
    return chosen, space


def _projection(spec: Spec, vectors: NDArray[np.float32], label_ids: Ints) -> Projection | None:
    n, d = vectors.shape
    if spec.projection == "classes":
        if not len(label_ids):
            raise InputError("the projection classes is learned from labels, and there are none")
        return discriminant(vectors, label_ids, most=_most(n, d))
    if spec.projection == "pca":
        size = spec.pca if isinstance(spec.pca, int | float) else 1
        return pca(vectors, size, spec.whiten or 0.0)
    return None


def _refitted(spec: Spec, vectors: NDArray[np.float32], label_ids: Ints) -> Projection | None:
    """The same of fewer references, which may have fewer components."""
    if isinstance(spec.pca, int):
        spec = replace(spec, pca=min(spec.pca, len(vectors) - 1, vectors.shape[1]))
    return _projection(spec, vectors, label_ids)


def _most(n: int, d: int) -> int:
    """Columns with which a projection and its references are no larger than the embeddings."""
    most = max(n * d // (n + d), 2)
    if n < _MANY:
        return most
    return max((width for width in _WIDTHS if width <= most), default=most)


def _width(r: int, d: int) -> int:
    """How wide a learned projection is made by columns of zeros: few widths take few templates."""
    return max(r, min(next((width for width in _WIDTHS if width >= r), r), d))


def _default_head(references: References) -> str:
    if references.target_names:
        return "regress"
    return "classify" if references.labels else "neighbors"


def _check_head(spec: Spec, references: References) -> None:
    head = str(spec.head)
    if head == "classify" and not references.labels:
        raise InputError("the head 'classify' needs labels; choose the head 'neighbors'")
    if head == "regress" and not references.target_names:
        raise InputError("the head 'regress' needs numeric targets: name their --target-column")
    if head == "neighbors" and spec.k == AUTO and not references.labels:
        raise InputError("k = auto is chosen by accuracy, which needs labels or targets")
    if spec.vote == "soft" and head != "classify":
        raise InputError(f"a soft vote needs the head 'classify', not {head!r}")
    if spec.projection == "classes" and head != "classify":
        raise InputError(f"the projection classes needs the head 'classify', not {head!r}")
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
        f" query, the limit is {_BROADCAST_LIMIT >> 20} MiB; take fewer references, --projection"
        " pca:SIZE, or the metric euclidean or cosine"
    )
