"""The frozen choices of a build."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from .errors import InputError
from .neighbors import METRICS

CROPS = ("center", "stretch", "fit")
VOTES = ("uniform", "distance")
RANGES = ("0..255", "0..1", "-1..1")
AUTO = "auto"
UNKNOWN = "unknown"  # the class of what lies too far from all references
DEFAULT_K = 5


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to build. Refuses nonsense when it is made; inside the package it is trusted.

    Attributes:
        backbone: a name in `pocketknn.builder.backbone.BACKBONES`, `vector` (no backbone: the
            input is a feature vector), or the path of a `.keras` file.
        weights: a weights file for a named backbone, instead of the one Keras downloads.
        alpha: width of a named MobileNet; None is its default.
        size: side of the square input in pixels; None is the backbone's default.
        input_range: the pixel values that a user's own `.keras` backbone wants.
        metric: what makes a reference near: `cosine`, `euclidean`, `manhattan`, or `minkowski`
            with p = 3.
        pca: how many principal components of the embedding are compared, or, below 1, the share of
            variance they keep; `auto` finds the best number by cross-validation; None compares the
            embedding itself.
        whiten: how far the components are made equally large: each is divided by its variance to
            half this power, so 0 leaves them and 1 gives all the same variance. None is 0, or
            what `auto` finds with the components.
        head: `classify`, `regress`, `neighbors`, or None: `regress` where there are targets,
            `classify` where there are labels.
        k: how many neighbours; `auto` is the best by leave-one-out; None the smaller of 5 and N.
        vote: how much each neighbour counts: `uniform`, or `distance` for one over its distance.
        balanced: divide the votes of a class by its share of the references.
        reject: the least score of the nearest neighbour of what is known; what lies below is of the
            class `unknown`. `auto` chooses it by leave-one-out. None knows no strangers.
        false_rejection: the share of the known that `auto` may take for strangers.
        crop: how a picture of any shape becomes a square: `center`, `stretch` or `fit`.
        seed: draws the pictures that parity is checked on.
    """

    backbone: str = "auto"
    weights: Path | None = None
    alpha: float | None = None
    size: int | None = None
    input_range: str = "0..255"
    metric: str = "cosine"
    pca: int | float | str | None = None
    whiten: float | None = None
    head: str | None = None
    k: int | str | None = None
    vote: str = "uniform"
    balanced: bool = False
    reject: float | str | None = None
    false_rejection: float = 0.05
    crop: str = "center"
    seed: int = 0

    def __post_init__(self) -> None:
        from .heads import HEADS

        if self.head is not None:
            _one_of("head", self.head, tuple(HEADS))
        _one_of("metric", self.metric, tuple(METRICS))
        _one_of("crop", self.crop, CROPS)
        _one_of("vote", self.vote, VOTES)
        _one_of("input range", self.input_range, RANGES)
        if isinstance(self.k, str | float) and self.k != AUTO:
            raise InputError(f"k must be a whole number or {AUTO}, not {self.k!r}")
        if isinstance(self.k, int) and self.k < 1:
            raise InputError(f"k must be at least 1, not {self.k}")
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
        if isinstance(self.reject, str) and self.reject != AUTO:
            raise InputError(f"reject must be a score or {AUTO}, not {self.reject!r}")
        if not isinstance(self.reject, str | None) and not isfinite(self.reject):
            raise InputError(f"reject must be a score or {AUTO}, not {self.reject}")
        if self.reject is not None and self.head not in (None, "classify"):
            raise InputError(f"reject adds a class, which the head {self.head!r} has not")
        if not 0 < self.false_rejection < 1:
            raise InputError(f"false rejection is a share, 0 to 1, not {self.false_rejection}")
        if self.seed < 0:
            raise InputError(f"the seed must not be negative, but is {self.seed}")
        if self.size is not None and not 1 <= self.size <= 2048:
            raise InputError(f"size must be 1 to 2048 pixels, not {self.size}")
        if self.alpha is not None and not 0 < self.alpha <= 2:
            raise InputError(f"alpha must be above 0 and at most 2, not {self.alpha}")


def resolve_k(k: int | str | float | None, n: int) -> int:
    """The number that was asked for, or else the smaller of 5 and n.

    Raises:
        InputError: k above n.
    """
    if not isinstance(k, int):
        return min(DEFAULT_K, n)
    if k > n:
        raise InputError(f"k = {k}, but there are only {n} references; choose k from 1 to {n}")
    return k


def _one_of(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"unknown {what} {value!r}; choose from {', '.join(choices)}")
