"""The frozen choices of a build."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from pocketknn.builder.choices.heads import HEADS, of_classes
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.choices.votes import VOTES

from .errors import InputError

CROPS = ("center", "stretch", "fit")
PROJECTIONS = ("auto", "none", "classes", "pca")
RANGES = ("0..255", "0..1", "-1..1")
STORES = {"float32": 4, "float16": 2, "int8": 1}  # bytes of a stored number
AUTO = "auto"
UNKNOWN = "unknown"  # the class of what lies too far from all references
DEFAULT_K = 5
_LEAST_TEMPERATURE = 1e-30  # one over it is a float32 with room above
# How many may vote softly, the most that there are of. Steps, as a file is converted anew for each.
SOFT_KS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to build. Refuses nonsense when it is made; inside the package it is trusted.

    Attributes:
        backbone: a name in `pocketknn.builder.backbones.load.BACKBONES`, `vector` (no backbone: the
            input is a feature vector), or the path of a `.keras` file.
        weights: a weights file for a named backbone, instead of the one it has by default.
        alpha: width of a named MobileNet; None is its default.
        size: side of the square input in pixels; None is the backbone's default.
        input_range: the pixel values that a user's own `.keras` backbone wants.
        metric: what makes a reference near: `cosine`, `euclidean`, `manhattan`, or `minkowski`
            with p = 3.
        projection: what of the embedding is compared. `none` is all of it; `classes` the directions
            in which classes differ, learned in closed form from the references; `pca:SIZE` or
            `pca:SIZE:POWER` principal components, see `pca` and `whiten`; `auto` is `classes` for
            the head classify and the metric cosine where cross-validation is for it, else `none`.
        pca: how many principal components of the embedding are compared, or, below 1, the share of
            variance they keep; `auto` finds the best number by cross-validation. None without a
            projection to them.
        whiten: how far the components are made equally large: each is divided by its variance to
            half this power, so 0 leaves them and 1 gives all the same variance. None is 0, or
            what `auto` finds with the components.
        head: `classify`, `regress`, `neighbors`, or None: `regress` where there are targets,
            `classify` where there are labels.
        k: how many neighbours are found and vote; `auto` is the best by leave-one-out; None the
            smaller of N and 5, or with a soft vote up to 100.
        vote: how much each neighbour counts: `soft`, the softmax of score / temperature; `uniform`;
            or `distance` for one over its distance. None is `soft` for classes, else `uniform`.
        temperature: of the soft vote, in units of the score; None finds it by out-of-fold
            likelihood.
        balanced: divide the votes of a class by its share of the references, so that all classes
            count the same. None does with a soft vote.
        reject: the least score of the nearest neighbour of what is known; what lies below is of the
            class `unknown`. `auto` chooses it by leave-one-out. None knows no strangers.
        false_rejection: the share of the known that `auto` may take for strangers.
        references_precision: how the references are stored: `float32`, `float16` or `int8`.
        search: `exact` compares all references; `rerank` scans all of them by few components in
            eight bits and scores the best; `ivf` does so within the nearest cells; `auto` takes
            what is fastest by its sizes and still finds enough.
        recall: share of the exact neighbours that a search must find, measured on the references;
            None is 0.99, or whatever comes of it where `candidates` or `probes` are set.
        candidates: how many references are scored after a scan; None takes as many as needed.
        probes: how many cells are scanned; None takes as many as needed.
        crop: how a picture of any shape becomes a square: `center`, `stretch` or `fit`.
        seed: draws the pictures that parity is checked on.
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
    probes: int | None = None
    crop: str = "center"
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
            raise InputError(f"k must be a whole number or {AUTO}, not {self.k!r}")
        if isinstance(self.k, int) and self.k < 1:
            raise InputError(f"k must be at least 1, not {self.k}")
        if self.temperature is not None:
            if self.vote is not None and not VOTES[self.vote].SOFT:
                raise InputError(f"a temperature is for the vote soft, not {self.vote}")
            if not (isfinite(self.temperature) and self.temperature > 0):
                raise InputError(f"the temperature must be above 0, not {self.temperature:g}")
            if not _LEAST_TEMPERATURE <= self.temperature <= 1 / _LEAST_TEMPERATURE:
                raise InputError(f"a temperature of {self.temperature:g} is beyond float32")
        if isinstance(self.reject, str) and self.reject != AUTO:
            raise InputError(f"reject must be a score or {AUTO}, not {self.reject!r}")
        if not isinstance(self.reject, str | None) and not isfinite(self.reject):
            raise InputError(f"reject must be a score or {AUTO}, not {self.reject}")
        if self.reject is not None and not self._may_have_classes:
            raise InputError(f"reject adds a class, which the head {self.head!r} has not")
        if not 0 < self.false_rejection < 1:
            raise InputError(f"false rejection is a share, 0 to 1, not {self.false_rejection}")
        self._check_search()
        if self.seed < 0:
            raise InputError(f"the seed must not be negative, but is {self.seed}")
        if self.seed >= 1 << 63:
            raise InputError(f"the seed must be less than {1 << 63}, but is {self.seed}")
        if self.size is not None and not 1 <= self.size <= 2048:
            raise InputError(f"size must be 1 to 2048 pixels, not {self.size}")
        if self.alpha is not None and not 0 < self.alpha <= 2:
            raise InputError(f"alpha must be above 0 and at most 2, not {self.alpha}")

    @property
    def compared(self) -> str:
        """The projection in one word, as it is typed: `pca:64:0.5`."""
        if self.projection != "pca":
            return self.projection
        return f"pca:{self.pca}" + (f":{self.whiten:g}" if self.whiten else "")

    @property
    def soft(self) -> bool:
        """Whether the vote is a soft one."""
        return self.vote is not None and VOTES[self.vote].SOFT

    @property
    def indexed(self) -> bool:
        """Whether references are stored or searched otherwise than in one layer of float32."""
        dense = self.search in SEARCHES and not SEARCHES[self.search].SCANS
        return not dense or self.references_precision != "float32"

    @property
    def _may_have_classes(self) -> bool:
        return self.head is None or HEADS[self.head].CLASSES

    def exactly(self) -> Spec:
        """The same choices by an exact search of float32 references, which all is measured by."""
        as_stored = replace(self, search="exact", candidates=None, probes=None)
        return replace(as_stored, references_precision="float32")

    def _check_projection(self) -> None:
        """Bring all spellings of a projection into one: `pca` and `whiten` go with "pca"."""
        name, *rest = self.projection.split(":")
        if name == "pca" and rest:
            size, power = rest[0], rest[1] if len(rest) == 2 else None
            if self.pca is not None or self.whiten is not None or len(rest) > 2:
                raise InputError(f"say the components once: {self.projection!r} or pca and whiten")
            object.__setattr__(self, "pca", size if size == AUTO else _number(size))
            object.__setattr__(self, "whiten", None if power is None else float(_number(power)))
        elif rest:
            name = self.projection  # which is refused
        _one_of("projection", name, PROJECTIONS)
        if name == AUTO and self.pca is not None:
            name = "pca"
        object.__setattr__(self, "projection", name)
        if isinstance(self.pca, str) and self.pca != AUTO:
            raise InputError(f"pca must be a number or {AUTO}, not {self.pca!r}")
        if isinstance(self.pca, int) and self.pca < 1:
            raise InputError(f"pca must be at least 1 component, not {self.pca}")
        if isinstance(self.pca, float) and not 0 < self.pca < 1:
            raise InputError(f"a share of variance lies between 0 and 1; pca is {self.pca}")
        if self.whiten is not None and not 0 <= self.whiten <= 1:
            raise InputError(f"whiten is a power from 0 to 1, not {self.whiten}")
        if self.whiten is not None and self.pca is None:
            raise InputError("whiten scales principal components; say how many with pca")
        if (name == "pca") != (self.pca is not None):
            raise InputError(
                f"the projection {name} and pca do not go together"
                if self.pca is not None
                else "say how many principal components: pca:64, pca:0.95 or pca:auto"
            )
        if name == "classes" and not self._may_have_classes:
            raise InputError(
                f"the projection classes needs the head {of_classes()}, not {self.head!r}"
            )

    def _check_search(self) -> None:
        _one_of("references' precision", self.references_precision, STORES)
        _one_of("search", self.search, (*SEARCHES, AUTO))
        if self.indexed and not METRICS[self.metric].ANGULAR:
            raise InputError(
                f"the metric {self.metric} compares float32 references by an exact search only;"
                " smaller references and other searches are for cosine"
            )
        if self.recall is not None and not 0 < self.recall <= 1:
            raise InputError(f"recall is a share above 0 and up to 1, not {self.recall}")
        scanning = [name for name, search in SEARCHES.items() if search.SCANS]
        if self.candidates is not None and self.search not in scanning:
            names = " and ".join(scanning)
            raise InputError(f"candidates are what the searches {names} score, not {self.search!r}")
        in_cells = [name for name, search in SEARCHES.items() if search.CELLS]
        if self.probes is not None and self.search not in in_cells:
            names = " and ".join(in_cells)
            raise InputError(f"probes are cells of the search {names}, not of {self.search!r}")
        for name, value in (("candidates", self.candidates), ("probes", self.probes)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, not {value}")


def resolve_k(k: int | str | float | None, n: int, vote: str | None = None) -> int:
    """The number that was asked for, or else the most that vote by default among n.

    Args:
        k: how many; None or `auto` for the default.
        n: how many references there are.
        vote: how they vote: with a soft one up to 100 do.

    Raises:
        InputError: k above n.
    """
    if not isinstance(k, int):
        soft = vote is not None and VOTES[vote].SOFT
        return max(few for few in SOFT_KS if few <= n) if soft else min(DEFAULT_K, n)
    if k > n:
        raise InputError(f"k = {k}, but there are only {n} references; choose k from 1 to {n}")
    return k


def _number(text: str) -> int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InputError(f"a projection to principal components is pca:SIZE:POWER, not with {text!r}")


def _one_of(what: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise InputError(f"unknown {what} {value!r}; choose from {', '.join(choices)}")
