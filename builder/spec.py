"""The frozen choices of a build."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from .errors import InputError

CROPS = ("center", "stretch", "fit")
VOTES = ("uniform", "distance")
RANGES = ("0..255", "0..1", "-1..1")
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
        head: `classify`, `neighbors`, or None: `classify` where there are labels.
        k: how many neighbours; None is the smaller of 5 and N.
        vote: how much each neighbour counts: `uniform`, or `distance` for one over its distance.
        balanced: divide the votes of a class by its share of the references.
        crop: how a picture of any shape becomes a square: `center`, `stretch` or `fit`.
        seed: draws the pictures that parity is checked on.
    """

    backbone: str = "auto"
    weights: Path | None = None
    alpha: float | None = None
    size: int | None = None
    input_range: str = "0..255"
    head: str | None = None
    k: int | None = None
    vote: str = "uniform"
    balanced: bool = False
    crop: str = "center"
    seed: int = 0

    def __post_init__(self) -> None:
        from .heads import HEADS

        if self.head is not None:
            _one_of("head", self.head, tuple(HEADS))
        _one_of("crop", self.crop, CROPS)
        _one_of("vote", self.vote, VOTES)
        _one_of("input range", self.input_range, RANGES)
        if self.k is not None and self.k < 1:
            raise InputError(f"k must be at least 1, not {self.k}")
        if self.seed < 0:
            raise InputError(f"the seed must not be negative, but is {self.seed}")
        if self.size is not None and not 1 <= self.size <= 2048:
            raise InputError(f"size must be 1 to 2048 pixels, not {self.size}")
        if self.alpha is not None and not 0 < self.alpha <= 2:
            raise InputError(f"alpha must be above 0 and at most 2, not {self.alpha}")

    def resolved(self, n: int, labelled: bool) -> Spec:
        """The same spec with `k` and `head` filled in for n references.

        Raises:
            InputError: k above n.
        """
        head = self.head or ("classify" if labelled else "neighbors")
        return replace(self, k=resolve_k(self.k, n), head=head)


def resolve_k(k: int | None, n: int) -> int:
    """The k that was asked for, or the smaller of 5 and n.

    Raises:
        InputError: k above n.
    """
    if k is not None and k > n:
        raise InputError(f"k = {k}, but there are only {n} references; choose k from 1 to {n}")
    return k or min(DEFAULT_K, n)


def _one_of(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"unknown {what} {value!r}; choose from {', '.join(choices)}")
