"""How good an image search is: does it find photos of the same class, and altered copies?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Ints
from pocketknn.builder.knn.metric_space import no_projection

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit


class Copies(NamedTuple):
    """Altered copies of some references.

    Attributes:
        rows: (q,) which references.
        embeddings: (q, d) of the copies.
    """

    rows: Ints
    embeddings: NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class SameClass:
    """How often neighbours are of the query's class.

    Attributes:
        k: how many neighbours were found.
        queries: number of queries.
        first: share of queries whose nearest reference is of their class.
        among: share of queries with a reference of their class among the k.
        chance: the expected `first` if neighbours were random.
        chance_among: the expected `among` if neighbours were random.
    """

    k: int
    queries: int
    first: float
    among: float
    chance: float
    chance_among: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """How many altered copies find their original.

    Attributes:
        queries: how many copies.
        first: share of them whose nearest reference shows the original.
        among: share of them with the original among the k.
    """

    queries: int
    first: float
    among: float


@dataclass(frozen=True, kw_only=True)
class ImageSearch:
    """The measurements of an image search.

    Attributes:
        same_class: measured out of fold, with near-copies held out together; None without classes.
        copies: the results by kind of alteration; empty if the photos are not available.
    """

    same_class: SameClass | None = None
    copies: dict[str, Found] = field(default_factory=dict)


def same_class(found: Ints, actual: Ints, label_ids: Ints) -> SameClass:
    """How often neighbours are of the right class.

    Args:
        found: (q, k) rows of the references.
        actual: (q,) class number of each query; every class has references.
        label_ids: (n,) class number of each reference.
    """
    right, k = label_ids[found] == actual[:, None], found.shape[1]
    chance = np.bincount(label_ids)[actual] / len(label_ids)
    return SameClass(
        k=k,
        queries=len(actual),
        first=float(right[:, 0].mean()),
        among=float(right.any(axis=1).mean()),
        chance=float(chance.mean()),
        chance_among=float((1 - (1 - chance) ** k).mean()),
    )


def measure(fit: Fit, copies: Mapping[str, Copies] | None = None) -> ImageSearch | None:
    """Measure an image search on its own references; None for the other heads.

    Args:
        fit: the choices and the stored examples.
        copies: altered copies of some references, by the kind of alteration.
    """
    if fit.head.CLASSES or fit.head.NUMBERS:
        return None
    refs, same = fit.references, None
    if len(refs.labels) > 1:
        # Folds even if nothing is learned, as near-copies and occasions are held out together.
        space = replace(fit.space, refit=fit.space.refit or no_projection)
        if space.folds:
            queries, found = space.others
            rows = found.first(fit.k).indices
            same = same_class(rows, refs.label_ids[queries], refs.label_ids)
    found_again = {}
    pictures = fit.space.pictures
    for name, (rows, embeddings) in (copies or {}).items():
        near = pictures[fit.search(embeddings).indices] == pictures[rows][:, None]
        found_again[name] = Found(
            queries=len(rows),
            first=float(near[:, 0].mean()),
            among=float(near.any(axis=1).mean()),
        )
    if same is None and not found_again:
        return None
    return ImageSearch(same_class=same, copies=found_again)
