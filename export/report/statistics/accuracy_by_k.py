"""What another k would have given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pocketknn.builder.choices.neighbors import Floats, Ints
from pocketknn.builder.knn.validation.leave_one_out import errors_by_k

from .intervals import Share

if TYPE_CHECKING:
    from pocketknn.builder.knn.fit import Fit


class AccuracyByK(NamedTuple):
    """Accuracy, or error, of the references, each left out, against the number of neighbours.

    Attributes:
        ks: (K,) 1, 2, and so on.
        values: (K,) accuracies, or for regression the root mean squared error of the targets in
            standard deviations.
        shares: the accuracies with their intervals; empty for regression.
        best: the k with the best value; the smallest of equals.
    """

    ks: Ints
    values: Floats
    shares: tuple[Share, ...]
    best: int


def accuracy_by_k(fit: Fit) -> AccuracyByK | None:
    """Measure it; None without labels and targets, or with one class or reference only."""
    refs, regress = fit.references, fit.head.NUMBERS
    if len(refs) < 2 or not (regress or len(refs.labels) > 1):
        return None
    errors = errors_by_k(fit.spec, fit.space)
    ks = np.arange(1, len(errors) + 1)
    if regress:
        scale = np.maximum(refs.targets.var(axis=0), 1e-30)
        values = np.sqrt((errors / scale).mean(axis=1))
        return AccuracyByK(ks, values, (), int(ks[np.argmin(np.round(values, 12))]))
    values, of = 1 - errors[:, 0], len(fit.space.others.queries)
    shares = tuple(Share(count=round(value * of), of=of) for value in values.tolist())
    return AccuracyByK(ks, values, shares, int(ks[np.argmax(np.round(values, 12))]))
