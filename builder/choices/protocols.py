"""What metrics, votes, heads and searches are asked for, and the arrays that they deal in.

Each is a module, or an object, with the names that its protocol lists. What is exact is float64
numpy; what takes a `KerasTensor` says the same in Keras operations, and shares nothing with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
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
Constants = dict[str, NDArray[Any]]  # by name: what of a graph depends on the references


class Rows(Protocol):
    """What of the references is compared, as a graph holds it."""

    @property
    def matrix(self) -> NDArray[np.float32]:
        """A row for each reference: of unit length where the metric is `ANGULAR`."""

    @property
    def middle(self) -> NDArray[np.float32]:
        """Mean of the rows (r,)."""


class Metric(Protocol):
    """What makes a reference near: scores are the higher the nearer it is.

    Attributes:
        ANGULAR: lengths do not count, so that vectors are compared at unit length. Smaller
            references and approximate searches take such scores, whose scale is always the same.
        BY_PRODUCT: one product with the references ranks them all; else differences to each do.
        SPARE: references beyond k that the graph scores anew, where its product only selects; then
            `references` has one more value behind each row, and no score changes where all vectors
            are moved alike. 0 where the product is the score.
        ITSELF: the score of a vector for itself. Less a score, it is the distance.
        SCORE: what a score is, in words.
        EXACT_HIT: by precision, the distance up to which a neighbour is the query itself, whatever
            the rounding, as a share of the lengths.
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
        """A function of queries (q, d) to numbers (q, n) that are the higher the nearer a row is.

        Queries come at unit length where the metric is `ANGULAR`. The numbers are scores where
        `SPARE` is 0.
        """

    def constants(self, rows: Rows) -> Constants:
        """What the search holds of the references, by name; `references`, a row each, is one."""

    def nearest(
        self, embedding: KerasTensor, given: Constants, k: int
    ) -> tuple[KerasTensor, KerasTensor]:
        """Scores (batch, k), descending, and int32 indices of the nearest references.

        Args:
            embedding: (batch, r), projected where there is a projection.
            given: the `constants`.
            k: how many.
        """

    def all_scores(self, embedding: KerasTensor, given: Constants) -> KerasTensor:
        """Scores (batch, n) of all references, without a top-k, for what cannot do one.

        Raises:
            InputError: scores that are right only for the few that are selected.
        """


class Vote(Protocol):
    """How much each neighbour counts.

    Attributes:
        SOFT: the weights have a temperature, which is found by likelihood, so that there must be
            classes; up to a hundred neighbours vote, and classes count the same, unless the spec
            says otherwise.
    """

    SOFT: bool

    def weights(self, scores: Floats, voting: Voting) -> Floats:
        """The weights (q, k) of neighbours by their scores, the nearest first."""

    def constants(self, voting: Voting) -> Constants:
        """What the graph holds of the vote, by name."""

    def attach(self, scores: KerasTensor, voting: Voting, given: Constants) -> KerasTensor | None:
        """The weights (batch, k), given the `constants`; None where all count the same."""


@dataclass(frozen=True, kw_only=True)
class Voting:
    """What the references say of a query: how much each counts, and what it is an example of.

    Attributes:
        examples: the references' labels and targets.
        vote: how much each neighbour counts.
        metric: what the scores are.
        exact_hit: the distance up to which a neighbour is the query itself.
        temperature: of a soft vote, in units of the score.
        balanced: the votes of a class are divided by its share of the references.
        threshold: the least score of the nearest neighbour of what is known, or None.
    """

    examples: Examples
    vote: Vote
    metric: Metric
    exact_hit: float = 1e-6
    temperature: float = 1.0
    balanced: bool = False
    threshold: float | None = None


class Examples(Protocol):
    """What a head knows of the n references, as `References` has it."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def label_ids(self) -> NDArray[np.int64]: ...
    @property
    def target_names(self) -> tuple[str, ...]: ...
    @property
    def targets(self) -> NDArray[np.float32]: ...


class Output(NamedTuple):
    """An output beside `scores` and `indices`.

    Attributes:
        name: as files name it.
        meaning: what its values are, in words.
        word: what one of them is, in a word.
    """

    name: str
    meaning: str
    word: str


class Head(Protocol):
    """What is said of the neighbours.

    Attributes:
        VOTE: how neighbours count where the spec does not say.
        CLASSES: it answers with shares of classes, by which accuracy is measured. With these go
            a soft vote, a balanced one, `reject`, and the projection `classes`.
        NUMBERS: it answers with numbers, by which errors are measured.
        KIND: what kind of model it makes, in words.
        OUTPUT: what it adds; None for nothing.
    """

    VOTE: str
    CLASSES: bool
    NUMBERS: bool
    KIND: str

    @property
    def OUTPUT(self) -> Output | None: ...  # noqa: N802

    def usual(self, examples: Examples) -> bool:
        """Whether it is the head of such references where the spec names none."""

    def check(self, examples: Examples) -> None:
        """Refuse references that it cannot answer with.

        Raises:
            InputError: they lack what it answers with.
        """

    def largest(self, examples: Examples) -> float:
        """The largest answer, which errors of a file are shares of."""

    def answers(self, found: Neighbors, voting: Voting) -> Floats:
        """What neighbours (q, k) say, a row each: the `OUTPUT`, or what it is judged by."""

    def errors(self, answers: Floats, examples: Examples, rows: Ints) -> Floats:
        """How wrong the answers to these references are: one number, or one for each target."""

    def constants(self, voting: Voting) -> Constants:
        """What the graph holds of the references, by name."""

    def attach(
        self, scores: KerasTensor, indices: KerasTensor, voting: Voting, given: Constants
    ) -> KerasTensor:
        """The `OUTPUT`, from scores and indices (batch, k), given the `constants`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Making(ABC):
    """The references that an index is made for, and how their exact neighbours do in it.

    Attributes:
        n: how many references there are.
        k: how many neighbours are wanted.
        width: values r of a reference.
        precision: how the references are stored.
        candidates: how many are asked for; None for as many as needed.
        probes: the same of cells.
    """

    n: int
    k: int
    width: int
    precision: str
    candidates: int | None
    probes: int | None

    @property
    @abstractmethod
    def share(self) -> float:
        """Of the exact neighbours, what numbers are chosen to find."""

    @property
    @abstractmethod
    def most_kept(self) -> float:
        """Share of the sought neighbours that the stored precision does not lose."""

    @property
    @abstractmethod
    def stored(self) -> Index:
        """The references as the file holds them, all compared."""

    @abstractmethod
    def widths(self) -> list[int]:
        """Of the scans that are tried, the widest last."""

    @abstractmethod
    def scanned(self, width: int) -> Index:
        """An index with a scan over all references, and as yet no number of candidates."""

    @abstractmethod
    def in_cells(self, one: Index, count: int) -> Index:
        """An index whose scan is put into so many cells; as yet without a number of probes."""

    @abstractmethod
    def places(self, one: Index) -> Ints:
        """Of each sought neighbour, how many references a scan ranks before it; n if lost."""

    @abstractmethod
    def cells_before(self, one: Index) -> Ints | None:
        """The same of cells; None where there is one reference only."""


class Search(Protocol):
    """How references are stored and searched.

    Attributes:
        SCANS: a scan of few components in eight bits finds the references that are scored; how
            many, `Spec.candidates` says.
        CELLS: of the scan only some cells are read; how many, `Spec.probes` says.
        PAYS: the number of references from which on it can be faster than others.
        WORDS: what is compared, by the numbers in a manifest.
    """

    SCANS: bool
    CELLS: bool
    PAYS: int
    WORDS: str

    def make(self, making: Making) -> Index | None:
        """The index that finds enough; None for one dense layer of float32.

        Raises:
            InputError: it cannot, or more candidates or probes are asked for than there are.
        """

    def bytes_beside(self, width: int) -> int:
        """About how many bytes a reference of so many values takes beside these."""

    def candidates(self, index: Index, first: Floats, wanted: int) -> Ints:
        """The references that are scored for each query (q, wanted), -1 for nobody.

        Args:
            index: one of this search.
            first: (q, w) what of a query the scan is multiplied by.
            wanted: how many.
        """

    def attach(
        self, first: KerasTensor, given: Constants, index: Index, table: Layer
    ) -> KerasTensor:
        """The same in the graph (batch, candidates), given its constants and layer `references`."""
