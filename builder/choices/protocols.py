"""The interfaces of metrics, votes, heads and searches, and the arrays they work on.

Each is a module, or an object, with the names that its protocol lists. The exact functions are
float64 numpy; those that take a `KerasTensor` do the same in Keras operations, with no shared code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pocketknn.builder.choices.searches.index import Index

    from .neighbors import Floats, Ints, Neighbors

KerasTensor = Any  # Keras' own, whose import takes seconds
Layer = Any
Constants = dict[str, NDArray[Any]]  # by name: tensors of a graph that depend on the references


class Rows(Protocol):
    """The references in the form that a graph compares."""

    @property
    def matrix(self) -> NDArray[np.float32]:
        """A row for each reference, of unit length if the metric is `ANGULAR`."""

    @property
    def middle(self) -> NDArray[np.float32]:
        """Mean of the rows (r,)."""


class Metric(Protocol):
    """A distance, as scores: the nearer a reference, the higher its score.

    Attributes:
        ANGULAR: lengths are ignored: vectors are compared at unit length. References of lower
            precision and approximate searches need such scores, as their scale is fixed.
        BY_PRODUCT: one product ranks all references; otherwise their differences from the query do.
        SPARE: 0 if the product is the score. Otherwise the product only selects k + SPARE
            references, which the graph then scores exactly; each row of `references` has one more
            value, and adding the same vector to all vectors must change no score.
        ITSELF: the score of a vector with itself; ITSELF minus a score is the distance.
        SCORE: what a score is, in words.
        EXACT_HIT: for each precision, the distance up to which a neighbour counts as the query
            itself, allowing for rounding; relative to the length of the vectors.
    """

    ANGULAR: bool
    BY_PRODUCT: bool
    SPARE: int
    ITSELF: float
    EXACT_HIT: Mapping[str, float]

    @property
    def SCORE(self) -> str: ...  # noqa: N802

    def scores(self, queries: NDArray[np.floating], references: NDArray[np.floating]) -> Floats:
        """Score of each reference (n, d) for each query (q, d): (q, n)."""

    def ranking(self, rows: Floats) -> Callable[[Floats], Floats]:
        """A function from queries (q, d) to numbers (q, n) that are higher for nearer rows.

        Queries have unit length if the metric is `ANGULAR`. The numbers are scores if `SPARE` is 0.
        """

    def constants(self, rows: Rows) -> Constants:
        """The tensors of the search, by name; `references` has a row for each reference."""

    def nearest(
        self, embedding: KerasTensor, given: Constants, k: int, mute: KerasTensor | None = None
    ) -> tuple[KerasTensor, KerasTensor]:
        """Scores (batch, k), descending, and int32 indices of the nearest references.

        Args:
            embedding: (batch, r), projected if there is a projection.
            given: the `constants`.
            k: how many neighbours.
            mute: (n,) to subtract from the scores of the references; None to subtract nothing.
        """

    def taught_scores(self, embedding: KerasTensor, rows: KerasTensor) -> KerasTensor:
        """Scores (batch, m) of rows that are an input of the graph.

        Args:
            embedding: (batch, r), projected if there is a projection.
            rows: (m, r) or wider; any further values of a row are ignored.
        """

    def all_scores(self, embedding: KerasTensor, given: Constants) -> KerasTensor:
        """Scores (batch, n) of all references, for devices without a top-k.

        Raises:
            InputError: the metric has exact scores only for selected references.
        """


class Vote(Protocol):
    """How much each neighbour counts.

    Attributes:
        SOFT: the weights have a temperature, which is chosen by likelihood and so needs classes. By
            default, up to a hundred neighbours vote, and all classes have equal weight.
    """

    SOFT: bool

    def weights(self, scores: Floats, voting: Voting) -> Floats:
        """The weights (q, k) of neighbours from their scores, the nearest first."""

    def constants(self, voting: Voting) -> Constants:
        """The tensors of the vote, by name."""

    def attach(self, scores: KerasTensor, voting: Voting, given: Constants) -> KerasTensor | None:
        """The weights (batch, k), given the `constants`; None if all count the same."""


@dataclass(frozen=True, kw_only=True)
class Voting:
    """How neighbours vote: how much each counts, and for what.

    Attributes:
        examples: the references' labels and targets.
        vote: how much each neighbour counts.
        metric: the metric of the scores.
        exact_hit: the distance up to which a neighbour counts as the query itself.
        temperature: of a soft vote, in units of the score.
        balanced: whether the votes of a class are divided by its share of the references.
        threshold: minimum score of the nearest neighbour of a known picture, or None.
    """

    examples: Examples
    vote: Vote
    metric: Metric
    exact_hit: float = 1e-6
    temperature: float = 1.0
    balanced: bool = False
    threshold: float | None = None


class Examples(Protocol):
    """The part of `References` that a head uses."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def label_ids(self) -> NDArray[np.int64]: ...
    @property
    def target_names(self) -> tuple[str, ...]: ...
    @property
    def targets(self) -> NDArray[np.float32]: ...


class Output(NamedTuple):
    """An output in addition to `scores` and `indices`.

    Attributes:
        name: its name in files.
        meaning: what its values are, in words.
        word: one word for a value.
    """

    name: str
    meaning: str
    word: str


class Head(Protocol):
    """How neighbours become answers.

    Attributes:
        VOTE: the default vote.
        CLASSES: whether its answers are shares of classes, measured by accuracy. Soft and balanced
            votes, `reject`, and the projection `classes` need such a head.
        NUMBERS: whether its answers are numbers, measured by their error.
        KIND: the kind of model, in words.
        OUTPUT: the output it adds, or None.
    """

    VOTE: str
    CLASSES: bool
    NUMBERS: bool
    KIND: str

    @property
    def OUTPUT(self) -> Output | None: ...  # noqa: N802

    def usual(self, examples: Examples) -> bool:
        """Whether it is the default head for such references."""

    def check(self, examples: Examples) -> None:
        """Check that the references have what it needs.

        Raises:
            InputError: they lack labels or targets.
        """

    def largest(self, examples: Examples) -> float:
        """The largest possible answer; errors of a file are measured relative to it."""

    def answers(self, found: Neighbors, voting: Voting) -> Floats:
        """The answers from neighbours (q, k), a row per query: `OUTPUT`, or values to measure."""

    def errors(self, answers: Floats, examples: Examples, rows: Ints) -> Floats:
        """The error of the answers for these references: one number, or one for each target."""

    def constants(self, voting: Voting) -> Constants:
        """The tensors of the head, by name."""

    def attach(
        self, scores: KerasTensor, indices: KerasTensor, voting: Voting, given: Constants
    ) -> KerasTensor:
        """The `OUTPUT`, from scores and indices (batch, k), given the `constants`."""


class Search(Protocol):
    """How references are stored and searched.

    Attributes:
        SCANS: a scan of a few 8-bit components selects `Spec.candidates` references to score.
        WORDS: a description of the search, as a template for the numbers of a manifest.
    """

    SCANS: bool
    WORDS: str

    def bytes_beside(self, width: int) -> int:
        """About how many bytes the search adds for each reference of this many values."""

    def candidates(self, index: Index, first: Floats, wanted: int) -> Ints:
        """The references to score for each query: (q, wanted).

        Args:
            index: one of this search.
            first: (q, w) the queries in the form that the scan compares.
            wanted: how many.
        """

    def attach(
        self,
        first: KerasTensor,
        given: Constants,
        index: Index,
        table: Layer,
        mute: KerasTensor | None = None,
    ) -> KerasTensor:
        """Like `candidates`, but in the graph: (batch, candidates).

        `given` are the constants, and `table` is the layer `references`. `mute` (n,) is subtracted
        from the products with the references.
        """
