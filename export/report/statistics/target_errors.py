"""Errors of the values predicted from neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pocketknn.builder.choices.neighbors import Floats
from pocketknn.builder.knn.validation.promise import rmse_interval
from pocketknn.builder.references.references import References

from .answers import Answers


class TargetErrors(NamedTuple):
    """The errors of one target.

    Attributes:
        name: name of the target.
        actual: (q,) its true values.
        answered: (q,) the predicted values.
        rmse: the 95 % interval of the root mean squared error.
        mae: the mean absolute error.
        r2: the share of variance explained; None if there is no variance.
    """

    name: str
    actual: Floats
    answered: Floats
    rmse: tuple[float, float]
    mae: float
    r2: float | None


def target_errors(answers: Answers, references: References, seed: int) -> list[TargetErrors]:
    """The errors of each target, over held-out references."""
    truth, found = references.targets[answers.queries].astype(float), []
    for name, actual, errors in zip(
        references.target_names, truth.T, answers.errors.T, strict=True
    ):
        squares, variance = errors**2, float(((actual - actual.mean()) ** 2).mean())
        r2 = 1 - float(squares.mean()) / variance if variance else None
        mae, rmse = float(np.abs(errors).mean()), rmse_interval(errors, seed)
        found.append(TargetErrors(name, actual, actual + errors, rmse, mae, r2))
    return found
