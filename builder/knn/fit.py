"""A spec with every `auto` and default resolved, over its references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.growth import taught_labels
from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.neighbors import Floats, Neighbors
from pocketknn.builder.choices.protocols import Head, Metric, Voting
from pocketknn.builder.choices.searches.index import Index
from pocketknn.builder.choices.votes import VOTES
from pocketknn.builder.knn.validation.occasions import fewer_mistakes
from pocketknn.builder.knn.validation.out_of_fold import OutOfFold, one_of_each
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import UNKNOWN, Spec

if TYPE_CHECKING:
    from .metric_space import Space


def voting_of(spec: Spec, space: Space) -> Voting:
    """How much each neighbour counts, before any rejection.

    Args:
        spec: with a vote, and with a temperature if the vote is soft.
        space: the references.
    """
    return Voting(
        examples=space.references,
        vote=VOTES[str(spec.vote)],
        metric=METRICS[space.metric],
        exact_hit=space.exact_hit("float32"),
        temperature=float(spec.temperature or 1.0),
        balanced=bool(spec.balanced),
    )


def answers(spec: Spec, space: Space, nearest: Neighbors) -> Floats:
    """The answers from these neighbours: values (q, T), or votes (q, classes) before rejection."""
    return HEADS[str(spec.head)].answers(nearest, voting_of(spec, space))


def answers_of_others(spec: Spec, space: Space, k: int) -> Floats:
    """What `answers` gives for `space.others.queries`, from the k nearest others of each.

    With balanced classes, votes are divided by the class sizes in the training part of the fold.
    """
    queries, found = space.others
    votes = answers(spec, space, found.first(k))
    if not spec.balanced or HEADS[str(spec.head)].NUMBERS:
        return votes
    ids = space.references.label_ids
    sizes = np.bincount(ids, minlength=votes.shape[1])
    for fold in space.folds:
        train = np.maximum(np.bincount(ids[fold.train], minlength=len(sizes)), 1)
        votes[np.searchsorted(queries, fold.test)] *= sizes / train
    shares: Floats = votes / votes.sum(axis=1, keepdims=True)
    return shares


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A spec with every `auto` and default resolved, over its references.

    Attributes:
        spec: with `head`, `vote`, an int `k` and a projection other than `auto`; `pca`,
            `temperature` and `reject` are numbers or None.
        space: the references, under the spec's metric and projection.
        index: how they are stored and searched; None for one dense layer of float32.
        refit: fits other references, resolving every `auto` again, without rejection; None if it
            is unknown which choices were `auto`.
    """

    spec: Spec
    space: Space
    index: Index | None = None
    refit: Callable[[References], Fit] | None = None

    @property
    def references(self) -> References:
        """The stored examples."""
        return self.space.references

    @property
    def head(self) -> Head:
        """How neighbours become answers."""
        return HEADS[str(self.spec.head)]

    @property
    def metric(self) -> Metric:
        """The distance between embeddings."""
        return METRICS[self.spec.metric]

    @property
    def k(self) -> int:
        """How many references are neighbours: as many as `listed`, or all if there are fewer."""
        return min(self.listed, len(self.references)) if self.slots else self.listed

    @property
    def listed(self) -> int:
        """How many neighbours a file lists; if it grows, some may be examples that were taught."""
        return int(self.spec.k or 1)

    @property
    def threshold(self) -> float | None:
        """Minimum score of the nearest neighbour of a known picture, or None."""
        return None if self.spec.reject is None else float(self.spec.reject)

    @property
    def temperature(self) -> float:
        """Temperature of a soft vote; 1 for any other."""
        return float(self.spec.temperature or 1.0)

    @property
    def scores_of(self) -> str:
        """What scores compare: `embedding` (all of it), `pca` or `classes`."""
        return self.space.scores_of

    @property
    def slots(self) -> int:
        """How many examples may be taught; 0 if the files do not grow."""
        return self.spec.grow or 0

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the references, then those that may be taught."""
        return self.references.labels + taught_labels(self.spec.spare or 0)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class of each value of `probabilities`; empty without a vote."""
        if not self.head.CLASSES:
            return ()
        return self.classes + ((UNKNOWN,) if self.threshold is not None else ())

    @property
    def strangers(self) -> NDArray[np.bool_]:
        """Which references are of the class unknown (n,): they vote, but are never queries."""
        refs = self.references
        if self.threshold is not None or not self.head.CLASSES or UNKNOWN not in refs.labels:
            return np.zeros(len(refs), np.bool_)
        return np.asarray(refs.label_ids == refs.labels.index(UNKNOWN))

    @property
    def approximate(self) -> bool:
        """Whether a file may miss a neighbour, or give scores less precise than float32."""
        return self.index is not None and self.index.approximate

    @property
    def stored_error(self) -> float:
        """Maximum error of a score due to the stored precision of the references."""
        return 0.0 if self.index is None else self.index.error

    @property
    def free_sizes(self) -> dict[str, int]:
        """The sizes, by name, in which graphs of one template may differ.

        `neighbors` and `candidates` are their numbers; `dim` is the length of an embedding; `width`
        is how many values are compared; and `row` is one more, as a stored row may have one extra
        value. A size of 1 is left out, as 1 occurs everywhere and lets converters leave out
        operations. There are none for graphs with an index or a memory, where sums and products of
        these sizes occur too.
        """
        if self.index is not None or self.slots:
            return {}
        k, spare, dim, width = self.k, self.metric.SPARE, self.references.dim, self.space.width
        found = {"neighbors": k} if k > 1 else {}
        if spare:
            found["candidates"] = k + spare
        if dim > 1:
            found["dim"] = dim
        if width > 1:
            found |= {"width": width, "row": width + 1}
        return found

    def exact_hit(self, precision: str) -> float:
        """Like `Space.exact_hit`, for the coarser of the precisions of backbone and references."""
        kinds = [precision] if self.index is None else [precision, self.index.precision]
        return max(self.space.exact_hit(kind) for kind in kinds)

    def voting(self, precision: str = "float32") -> Voting:
        """How much each neighbour counts."""
        voting = voting_of(self.spec, self.space)
        if self.spec.spare:
            voting = replace(voting, examples=replace(self.references, labels=self.classes))
        return replace(voting, exact_hit=self.exact_hit(precision), threshold=self.threshold)

    def search(self, embeddings: NDArray[np.floating]) -> Neighbors:
        """The exact k nearest of each embedding (q, d)."""
        return self.space.search(embeddings, self.k)

    @cached_property
    def out_of_fold(self) -> OutOfFold:
        """Out-of-fold answers for the references, before any rejection.

        Those of the class unknown are not queries.
        """
        found = self._out_of_fold()
        strange = self.strangers[found.queries]
        return found.some(~strange) if strange.any() else found

    @cached_property
    def answers_of_others(self) -> Floats:
        """The head's output for each of `space.others`, from its k nearest others."""
        return answers_of_others(self.spec, self.space, min(self.k, self.space.most))

    def _out_of_fold(self) -> OutOfFold:
        space, k = self.space, min(self.k, self.space.most)
        whole = any(self.references.occasions)
        refit = None if whole else self.refit
        if refit is not None and space.refit is not None and self.head.CLASSES:

            def ask(others: References, queries: NDArray[np.floating]) -> tuple[Neighbors, Floats]:
                fitted = refit(others)
                found = fitted.search(queries)
                return found, fitted.answers(found)

            if found := one_of_each(space, ask):
                return found
        queries, near = space.others
        outputs = np.empty((len(queries), 0))
        if self.head.NUMBERS or self.references.labels:
            outputs = self.answers_of_others
        parts, fewer = len(space.folds), 1.0
        if whole and not self.head.NUMBERS:
            fewer = fewer_mistakes(self.references.label_ids, space.together, parts)
        return OutOfFold(queries, near.first(k), outputs, parts, fewer)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each value of the head's output: labels, or targets."""
        return self.references.target_names if self.head.NUMBERS else self.labels

    def answers(self, found: Neighbors, precision: str = "float32") -> Floats:
        """The head's output for these neighbours: (q, len(names))."""
        return self.head.answers(found, self.voting(precision))
