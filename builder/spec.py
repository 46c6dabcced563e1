"""The frozen choices of a build."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from pocketknn.builder.choices import room
from pocketknn.builder.choices.heads import HEADS, of_classes
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.choices.votes import VOTES
from pocketknn.builder.wording import counted

from .errors import InputError

CROPS = ("center", "stretch", "fit")
PROJECTIONS = ("auto", "none", "classes", "pca")
RANGES = ("0..255", "0..1", "-1..1")
STORES = {"float32": 4, "float16": 2, "int8": 1}  # bytes of a stored number
AUTO = "auto"
UNKNOWN = "unknown"  # the class of queries too far from every reference
DEFAULT_K = 5
_MIN_TEMPERATURE = 1e-30  # its inverse still fits into float32
# Default k of a soft vote: the largest of these that is at most n. Few values, as each new k means
# a new conversion.
SOFT_KS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to build. Validated on construction; the rest of the package trusts it.

    Attributes:
        backbone: a name in `pocketknn.builder.backbones.load.BACKBONES`, `vector` (no backbone: the
            input is a feature vector), or the path of a `.keras` file.
        weights: a weights file for a named backbone, instead of its default weights.
        alpha: width of a named MobileNet; None is its default.
        size: side of the square input in pixels; None is the backbone's default.
        input_range: the range of pixel values that a user's own `.keras` backbone expects.
        metric: the distance: `cosine`, `euclidean`, `manhattan`, or `minkowski` with p = 3.
        projection: the part of the embedding that is compared. `none` is all of it; `classes` the
            directions in which classes differ, learned in closed form from the references;
            `pca:SIZE` or `pca:SIZE:POWER` principal components, see `pca` and `whiten`; `auto` is
            `classes` for the head classify and the metric cosine if cross-validation supports it,
            else `none`.
        pca: how many principal components of the embedding are compared; a number below 1 is the
            share of variance they keep; `auto` finds the best number by cross-validation. None
            unless the projection is `pca`.
        whiten: how far to equalise the components: each is divided by its variance raised to half
            this power, so 0 changes nothing and 1 gives all components the same variance. None is
            0, or the value that `auto` finds along with the number of components.
        head: `classify`, `regress`, `neighbors`, or None: `regress` for targets, `classify`
            for labels, else `neighbors`.
        k: how many neighbours are found and vote; `auto` is the best by leave-one-out; None is at
            most 5, or at most 100 with a soft vote.
        vote: how much each neighbour counts: `soft`, the softmax of score / temperature; `uniform`;
            or `distance`, 1 / distance. None is `soft` for classes, else `uniform`.
        temperature: temperature of the soft vote, in units of the score; None finds it by
            out-of-fold likelihood.
        balanced: divide the votes of a class by its share of the references, so that all classes
            count the same. None means only with a soft vote.
        reject: minimum score of the nearest neighbour; a query below it gets the class `unknown`.
            `auto` chooses the threshold by leave-one-out. None disables rejection.
        false_rejection: the share of known pictures that `auto` may reject.
        references_precision: how the references are stored: `float32`, `float16` or `int8`.
        search: `exact` compares all references; `rerank` scans all of them by a few 8-bit
            components and scores the best; `auto` takes the search that meets the recall and has
            the lowest estimated cost.
        recall: share of the exact neighbours that a search must find, measured on the references;
            None is 0.99, or no minimum if `candidates` is set.
        candidates: how many references are scored after a scan; None takes as many as needed.
        crop: how a picture of any shape becomes a square: `center`, `stretch` or `fit`.
        grow: how many examples an app may teach the model, as rows of its input `memory`; None for
            files without that input. If it is set, the projection `auto` is `none`, as a projection
            learned from some classes suits others badly.
        spare: how many classes may be taught; None is at most 8.
        seed: random seed.
    """

    backbone: str = "auto"
    weights: Path | None = None
    alpha: float | None = None
    size: int | None = None
    input_range: str = "0..255"
    metric: str = "cosine"
    projection: str = AUTO
    pca: int | float | str | None = None
    whiten: float | None = None
    head: str | None = None
    k: int | str | None = None
    vote: str | None = None
    temperature: float | None = None
    balanced: bool | None = None
    reject: float | str | None = None
    false_rejection: float = 0.05
    references_precision: str = "float32"
    search: str = "exact"
    recall: float | None = None
    candidates: int | None = None
    crop: str = "center"
    grow: int | None = None
    spare: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.weights, str):
            object.__setattr__(self, "weights", Path(self.weights))
        if self.head is not None:
            _one_of("head", self.head, HEADS)
        _one_of("metric", self.metric, METRICS)
        _one_of("crop", self.crop, CROPS)
        if self.vote is not None:
            _one_of("vote", self.vote, VOTES)
        self._check_projection()
        _one_of("input range", self.input_range, RANGES)
        if isinstance(self.k, str | float) and self.k != AUTO:
            raise InputError(
                f"k must be a whole number or {AUTO}, not {self.k!r}", "k-not-a-number"
            )
        if isinstance(self.k, int) and self.k < 1:
            raise InputError(f"k must be at least 1, not {self.k}", "k-too-small")
        if self.temperature is not None:
            if self.vote is not None and not VOTES[self.vote].SOFT:
                raise InputError(
                    f"a temperature needs the soft vote, not {self.vote}", "temperature-needs-soft"
                )
            if not (isfinite(self.temperature) and self.temperature > 0):
                raise InputError(
                    f"the temperature must be above 0, not {self.temperature:g}",
                    "temperature-not-positive",
                )
            if not _MIN_TEMPERATURE <= self.temperature <= 1 / _MIN_TEMPERATURE:
                raise InputError(
                    f"a temperature of {self.temperature:g} is outside the range of float32",
                    "temperature-out-of-range",
                )
        if isinstance(self.reject, str) and self.reject != AUTO:
            raise InputError(
                f"reject must be a score or {AUTO}, not {self.reject!r}", "reject-not-a-score"
            )
        if not isinstance(self.reject, str | None) and not isfinite(self.reject):
            raise InputError(
                f"reject must be a score or {AUTO}, not {self.reject}", "reject-not-a-score"
            )
        if self.reject is not None and not self._may_have_classes:
            raise InputError(
                f"reject needs the head {of_classes()}, not {self.head!r}", "reject-needs-classes"
            )
        if not 0 < self.false_rejection < 1:
            raise InputError(
                f"false rejection must be a share between 0 and 1, not {self.false_rejection}",
                "rejection-out-of-range",
            )
        self._check_search()
        room.check(self.grow, self.spare, HEADS[self.head] if self.head else None)
        if self.seed < 0:
            raise InputError(f"the seed must be at least 0, not {self.seed}", "seed-out-of-range")
        if self.seed >= 1 << 63:
            raise InputError(
                f"the seed must be less than {1 << 63}, not {self.seed}", "seed-out-of-range"
            )
        if self.size is not None and not 1 <= self.size <= 2048:
            raise InputError(f"size must be 1 to 2048 pixels, not {self.size}", "size-out-of-range")
        if self.alpha is not None and not 0 < self.alpha <= 2:
            raise InputError(
                f"alpha must be above 0 and at most 2, not {self.alpha}", "alpha-out-of-range"
            )

    @property
    def compared(self) -> str:
        """The projection as typed on the command line: `pca:64:0.5`."""
        if self.projection != "pca":
            return self.projection
        return f"pca:{self.pca}" + (f":{self.whiten:g}" if self.whiten else "")

    @property
    def soft(self) -> bool:
        """Whether the vote is soft."""
        return self.vote is not None and VOTES[self.vote].SOFT

    @property
    def indexed(self) -> bool:
        """Whether references are stored or searched in any way other than as one float32 layer."""
        dense = self.search in SEARCHES and not SEARCHES[self.search].SCANS
        return not dense or self.references_precision != "float32"

    @property
    def _may_have_classes(self) -> bool:
        return self.head is None or HEADS[self.head].CLASSES

    def exactly(self) -> Spec:
        """This spec with an exact search of float32 references: the baseline for measurements."""
        as_stored = replace(self, search="exact", candidates=None)
        return replace(as_stored, references_precision="float32")

    def _check_projection(self) -> None:
        """Normalise "pca:SIZE:POWER" to "pca", with `pca` and `whiten` set; check all three."""
        name, *rest = self.projection.split(":")
        if name == "pca" and rest:
            size, power = rest[0], rest[1] if len(rest) == 2 else None
            if self.pca is not None or self.whiten is not None or len(rest) > 2:
                raise InputError(
                    f"give the components only once: as {self.projection!r}, or as pca and whiten",
                    "two-projections",
                )
            object.__setattr__(self, "pca", size if size == AUTO else _number(size))
            object.__setattr__(self, "whiten", None if power is None else float(_number(power)))
        elif rest:
            name = self.projection  # rejected below
        _one_of("projection", name, PROJECTIONS)
        if name == AUTO and self.pca is not None:
            name = "pca"
        object.__setattr__(self, "projection", name)
        if isinstance(self.pca, str) and self.pca != AUTO:
            raise InputError(
                f"pca must be a number or {AUTO}, not {self.pca!r}", "pca-not-a-number"
            )
        if isinstance(self.pca, int) and self.pca < 1:
            raise InputError(f"pca must be at least 1 component, not {self.pca}", "pca-too-small")
        if isinstance(self.pca, float) and not 0 < self.pca < 1:
            raise InputError(
                f"pca must be a share of variance between 0 and 1, not {self.pca}",
                "pca-out-of-range",
            )
        if self.whiten is not None and not 0 <= self.whiten <= 1:
            raise InputError(
                f"whiten must be a power from 0 to 1, not {self.whiten}", "whiten-out-of-range"
            )
        if self.whiten is not None and self.pca is None:
            raise InputError(
                "whiten scales principal components; set their number with pca",
                "whiten-without-pca",
            )
        if (name == "pca") != (self.pca is not None):
            raise InputError(
                f"the projection {name} cannot be combined with pca"
                if self.pca is not None
                else "give the number of principal components: pca:64, pca:0.95 or pca:auto",
                "projection-pca-mismatch",
            )
        if name == "classes" and not self._may_have_classes:
            raise InputError(
                f"the projection 'classes' needs the head {of_classes()}, not {self.head!r}",
                "projection-needs-classes",
            )

    def _check_search(self) -> None:
        _one_of("references' precision", self.references_precision, STORES)
        _one_of("search", self.search, (*SEARCHES, AUTO))
        if self.indexed and not METRICS[self.metric].ANGULAR:
            raise InputError(
                f"the metric {self.metric} supports only float32 references and exact search;"
                " lower precision and other searches need cosine",
                "metric-needs-exact-search",
            )
        if self.recall is not None and not 0 < self.recall <= 1:
            raise InputError(
                f"recall must be a share above 0 and at most 1, not {self.recall}",
                "recall-out-of-range",
            )
        scanning = [name for name, search in SEARCHES.items() if search.SCANS]
        if self.candidates is not None and self.search not in scanning:
            names = " or ".join(scanning)
            raise InputError(
                f"'candidates' needs the search {names}, not {self.search!r}",
                "candidates-need-scan",
            )
        if self.candidates is not None and self.candidates < 1:
            raise InputError(
                f"candidates must be at least 1, not {self.candidates}", "count-too-small"
            )


def resolve_k(k: int | str | float | None, n: int, vote: str | None = None) -> int:
    """The requested k, or the default for n references.

    Args:
        k: how many neighbours; None or `auto` for the default.
        n: how many references there are.
        vote: the kind of vote; the default is up to 100 for a soft vote, else up to 5.

    Raises:
        InputError: k is above n.
    """
    if not isinstance(k, int):
        soft = vote is not None and VOTES[vote].SOFT
        return max(some for some in SOFT_KS if some <= n) if soft else min(DEFAULT_K, n)
    if k > n:
        raise InputError(
            f"k = {k}, but there {'is' if n == 1 else 'are'} only {counted(n, 'reference')};"
            f" choose k from 1 to {n}",
            "k-too-large",
        )
    return k


def _number(text: str) -> int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InputError(f"a projection pca:SIZE:POWER needs numbers, not {text!r}", "pca-not-a-number")


def _one_of(what: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise InputError(
            f"unknown {what} {value!r}; choose from {', '.join(choices)}", "unknown-choice"
        )
