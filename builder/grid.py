"""What cross-validation tries."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from .errors import InputError
from .spec import AUTO, CROPS, VOTES, Spec

_KS = (1, 3, 5, 7, 10, 15, 20)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is tried: each value with each of the others. Refuses nonsense when it is made.

    Attributes:
        ks: numbers of neighbours; None for those of 1, 3, 5, 7, 10, 15, 20 that there are.
        metrics: as in `Spec.metric`.
        votes: as in `Spec.vote`.
        pcas: as in `Spec.pca`, None for no projection.
        crops: as in `Spec.crop`; None for all.
    """

    ks: tuple[int, ...] | None = None
    metrics: tuple[str, ...] = ("cosine", "euclidean")
    votes: tuple[str, ...] = VOTES
    pcas: tuple[int | float | None, ...] = (None, 0.95)
    crops: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            if values is not None and not values:
                raise InputError(f"the grid names no {name[:-1]}, so there is nothing to try")
            if len(set(values or ())) < len(values or ()):
                raise InputError(f"the grid names a {name[:-1]} twice: {values}")
        for k in self.ks or ():
            Spec(k=k)
        for size in self.pcas:
            if isinstance(size, str):
                raise InputError(f"a grid tries numbers of components; {AUTO} is none")
            Spec(pca=size)
        for metric, vote, crop in product(self.metrics, self.votes, self.all_crops):
            Spec(metric=metric, vote=vote, crop=crop)

    @property
    def all_crops(self) -> tuple[str, ...]:
        """The crop policies to try."""
        return self.crops or CROPS

    def searches(self, folds: int) -> int:
        """How often `tune` reports progress."""
        return folds * len(self.all_crops) * len(self.pcas) * len(self.metrics)

    def ks_within(self, n: int) -> tuple[int, ...]:
        """The numbers of neighbours to try among n examples.

        Raises:
            InputError: one that was named is larger.
        """
        if self.ks is None:
            return tuple(k for k in _KS if k <= n)
        if max(self.ks) > n:
            raise InputError(
                f"k = {max(self.ks)}, but the smallest training part has {n} examples;"
                f" choose k from 1 to {n}"
            )
        return self.ks

    def check_pcas(self, n: int, d: int) -> None:
        """Refuse a number of components that n examples of d values do not have."""
        for size in self.pcas:
            if isinstance(size, int) and size > min(n, d):
                raise InputError(
                    f"pca = {size}, but the smallest training part has {n} examples of {d} values;"
                    f" choose pca from 1 to {min(n, d)}"
                )
