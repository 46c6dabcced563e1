"""The best number of principal components, by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.neighbors import Ints, Neighbors, shared
from pocketknn.builder.choices.protocols import Head
from pocketknn.builder.errors import InputError
from pocketknn.builder.knn.fit import answers
from pocketknn.builder.knn.metric_space import Space
from pocketknn.builder.knn.validation.folds import dealt, groups
from pocketknn.builder.knn.validation.occasions import together
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import Spec, resolve_k

from .pca import Components, Projection, components

FOLDS = 5
POWERS = (0.0, 0.5)  # 1 was worse on photos, and amplifies float16 rounding
RECALL = 0.8  # target share of the neighbours, without labels or targets to judge by
_MOST = 5000  # references used; of more, a sample of this size
_MOST_DIFFERENCES = 1e10  # lowers `_MOST` for metrics without a product


def best_components(spec: Spec, references: References) -> Spec:
    """The spec with the best number of components and the best whitening.

    This is 5-fold cross-validation: as on a device, the components come from the training part
    only. Of 1, 2, 3, 4, 6, 8, 12 and so on, the number with the highest accuracy or lowest error
    wins; among equals, the smallest. It must be no worse than without a projection. (The smallest
    number that is no worse may look so only by chance: chosen on one half of 200 flowers, it lost 3
    % on the other half.) Without labels and targets, it is the smallest number that finds 80 % of
    the neighbours.

    Args:
        spec: the choices, with a head; if `whiten` is None, the better of 0 and 0.5 is chosen.
        references: the stored examples; if there are very many, a sample of at most 5,000 is used.
            Copies are ignored.

    Raises:
        InputError: too few references, or every number of components is worse than none.
    """
    spec = replace(spec, vote=spec.vote or "uniform")
    trial = _begin(spec, references)
    bar = trial.bar
    powers = POWERS if spec.whiten is None else (spec.whiten,)
    best, size, power = -np.inf, 0, 0.0
    for tried in trial.sizes:
        for whiten in powers:
            quality = trial.quality(tried, whiten)
            if quality > best:  # so that the smaller size and power win ties
                best, size, power = quality, tried, whiten
        if not trial.judged and best >= bar:
            break
    if best >= bar:
        return replace(spec, pca=size, whiten=power)
    raise InputError(
        f"no number of components is good enough: the target is {trial.text(bar)}, and the best"
        f" found, --projection pca:{size}:{power:g}, reaches {trial.text(best)}",
        "no-lossless-pca",
    )


class _Part(NamedTuple):
    """A fold: the test rows, and the training references with their components."""

    test: Ints
    train: References
    found: Components


@dataclass(frozen=True, kw_only=True, eq=False)
class _Trial:
    """A cross-validation; its quality is higher for better answers."""

    spec: Spec
    k: int
    references: References
    parts: tuple[_Part, ...]

    @property
    def head(self) -> Head:
        return HEADS[str(self.spec.head)]

    @property
    def judged(self) -> bool:
        """Whether an answer can be right or wrong."""
        return self.head.CLASSES or self.head.NUMBERS

    @property
    def sizes(self) -> list[int]:
        """1, 2, 3, 4, 6, 8, 12, 16, 24 and so on, up to the number of components of every part."""
        most = min(len(part.found.variances) for part in self.parts)
        steps = (base << shift for base in (2, 3) for shift in range(most.bit_length()))
        return [1, *sorted(step for step in steps if step <= most)]

    @property
    def bar(self) -> float:
        """The minimum quality that a projection must reach."""
        return self._quality(self._plain) if self.judged else RECALL

    def quality(self, size: int, power: float) -> float:
        """The quality with this many components, whitened by a power."""
        return self._quality(
            [self._ask(part, part.found.projection(size, power)) for part in self.parts]
        )

    def text(self, quality: float) -> str:
        """A quality, for messages."""
        if self.head.NUMBERS:
            return f"an error of {-quality:.4g} standard deviations"
        return f"{quality:.1%} {'accuracy' if self.judged else 'of the neighbours'}"

    @cached_property
    def _plain(self) -> list[tuple[Space, Neighbors]]:
        return [self._ask(part, None) for part in self.parts]

    def _ask(self, part: _Part, projection: Projection | None) -> tuple[Space, Neighbors]:
        space = Space(references=part.train, metric=self.spec.metric, projection=projection)
        return space, space.search(self.references.vectors[part.test], self.k)

    def _quality(self, searched: list[tuple[Space, Neighbors]]) -> float:
        """Accuracy, or minus the error; rounded, as the last bits of a sum vary."""
        if not self.judged:
            pairs = zip(self._plain, searched, strict=True)
            same = [shared(one.indices, other.indices) for (_, one), (_, other) in pairs]
            return round(float(np.mean(same)), 9)
        outputs = np.concatenate([answers(self.spec, space, found) for space, found in searched])
        rows = np.concatenate([part.test for part in self.parts])
        errors = self.head.errors(outputs, self.references, rows)
        if self.head.CLASSES:
            return round(1 - float(errors[0]), 9)
        spread = np.maximum(self.references.targets.astype(np.float64).std(axis=0), 1e-30)
        return round(-float((np.sqrt(errors) / spread).mean()), 9)


def _begin(spec: Spec, references: References) -> _Trial:
    drawn = _drawn(references.without_copies(), spec)
    n = len(drawn)
    if n < 2 * FOLDS:
        raise InputError(
            f"pca = auto uses cross-validation, which needs at least {2 * FOLDS} different"
            f" references, not {n}; set the number of components",
            "too-few-references",
        )
    classes = drawn.label_ids if drawn.labels else None
    pictures = groups(drawn.vectors, drawn.sha256, classes) if drawn.labels else None
    if any(drawn.occasions):
        pictures = together(drawn, np.arange(n) if pictures is None else pictures)
    parts = []
    for test in dealt(n, FOLDS, spec.seed, classes, pictures):  # keeps views of a picture together
        train = drawn.subset(np.delete(np.arange(n), test))
        # One fewer than rows: centring takes one degree of freedom.
        found = components(train.vectors, min(len(train) - 1, train.dim))
        parts.append(_Part(test, train, found))
    smallest = min(len(part.train) for part in parts)
    k = min(resolve_k(spec.k, len(references)), smallest)
    return _Trial(spec=spec, k=k, references=drawn, parts=tuple(parts))


def _drawn(references: References, spec: Spec) -> References:
    n, most = len(references), _MOST
    if not METRICS[spec.metric].BY_PRODUCT:
        most = min(most, int((_MOST_DIFFERENCES / references.dim) ** 0.5))
    if n <= most:
        return references
    return references.select(np.sort(np.random.default_rng(spec.seed).choice(n, most, False)))
