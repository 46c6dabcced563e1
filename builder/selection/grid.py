"""The grid of values for cross-validation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from pocketknn.builder.choices.votes import VOTES
from pocketknn.builder.errors import InputError
from pocketknn.builder.spec import AUTO, CROPS, Spec
from pocketknn.builder.wording import counted

VECTOR = "vector"  # the backbone of embeddings that were made elsewhere


_KS = (1, 3, 5, 10, 20, 50, 100)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The values to try, in every combination. Validated on construction.

    Attributes:
        ks: numbers of neighbours; None for 1, 3, 5, 10, 20, 50, 100, up to the number of examples.
        metrics: as in `Spec.metric`.
        votes: as in `Spec.vote`; None for all.
        projections: as in `Spec.projection`, but neither `auto` nor `pca:auto`; None for `classes`,
            `none` and `pca:0.95`, without `classes` for targets.
        crops: as in `Spec.crop`; None for all.
    """

    ks: tuple[int, ...] | None = None
    metrics: tuple[str, ...] = ("cosine", "euclidean")
    votes: tuple[str, ...] | None = None
    projections: tuple[str, ...] | None = None
    crops: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            if values is not None and not values:
                raise InputError(
                    f"the grid has no {name[:-1]}, so there is nothing to try", "empty-grid"
                )
            if len(set(values or ())) < len(values or ()):
                raise InputError(
                    f"the grid has a {name[:-1]} twice: {values}", "grid-repeats-value"
                )
        for k in self.ks or ():
            Spec(k=k)
        for name in self.projections or ():
            if AUTO in (Spec(projection=name).projection, Spec(projection=name).pca):
                raise InputError(f"a grid needs specific projections, not {name}", "auto-in-grid")
        for metric, vote, crop in product(self.metrics, self.votes or VOTES, self.all_crops):
            Spec(metric=metric, vote=vote, crop=crop)

    def filled(self, regress: bool) -> Grid:
        """The same grid with default votes and projections, for targets or for classes.

        Raises:
            InputError: a given choice is only for classes.
        """
        soft = [name for name, vote in VOTES.items() if vote.SOFT]
        votes = self.votes or tuple(name for name in VOTES if not (regress and name in soft))
        names = self.projections or ("classes", "none", "pca:0.95")[bool(regress) :]
        softly = [name for name in votes if name in soft]
        if regress and (softly or "classes" in names):
            what = f"the vote {softly[0]!r}" if softly else "the projection 'classes'"
            raise InputError(
                f"{what} needs class labels, but the references have targets", "needs-classes"
            )
        return replace(self, votes=votes, projections=names)

    @property
    def all_crops(self) -> tuple[str, ...]:
        """The crop policies to try."""
        return self.crops or CROPS

    def searches(self, folds: int) -> int:
        """The total number of searches of `tune`, for its progress."""
        return folds * len(self.all_crops) * len(self.projections or ()) * len(self.metrics)

    def ks_within(self, n: int) -> tuple[int, ...]:
        """The numbers of neighbours to try among n examples.

        Raises:
            InputError: a given number is larger.
        """
        if self.ks is None:
            return tuple(k for k in _KS if k <= n)
        if max(self.ks) > n:
            raise InputError(
                f"k = {max(self.ks)}, but the smallest training part has {counted(n, 'example')};"
                f" choose k from 1 to {n}",
                "k-too-large",
            )
        return self.ks

    def check_components(self, n: int, d: int) -> None:
        """Check that n examples of d values have the given numbers of components."""
        for name in self.projections or ():
            size = Spec(projection=name).pca
            if isinstance(size, int) and size > min(n, d):
                raise InputError(
                    f"pca = {size}, but the smallest training part has {counted(n, 'example')} of"
                    f" {counted(d, 'value')}; choose pca from 1 to {min(n, d)}",
                    "pca-too-large",
                )
