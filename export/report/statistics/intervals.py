"""How sure a number is that was measured on so many pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pocketknn.builder.knn.exact import Floats

_Z = 1.959963984540054  # 95 % of a normal distribution lie within so many standard deviations
_DRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class Share:
    """So many of so many, with an interval that holds the true share in 95 of 100 cases.

    Attributes:
        count: how many.
        of: of how many; at least 1.
    """

    count: int
    of: int

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.count / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends of Wilson's score interval at 95 % (Wilson, JASA 22, 1927)."""
        low, high = wilson(np.array([self.value]), self.of)
        return float(low[0]), float(high[0])


def wilson(shares: Floats, of: int) -> tuple[Floats, Floats]:
    """Lower and upper ends of Wilson's 95 % score intervals of shares (s,) of `of` things each."""
    middle = (shares + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    half = _Z / (1 + _Z**2 / of) * np.sqrt(shares * (1 - shares) / of + _Z**2 / (4 * of**2))
    # Exact at both ends, where rounding would leave 1e-17.
    low = np.where(shares == 0, 0.0, middle - half)
    high = np.where(shares == 1, 1.0, middle + half)
    return low, high


def rmse_interval(errors: Floats, seed: int) -> tuple[float, float]:
    """95 % percentile bootstrap of the root mean squared error over errors (q,): 1,000 draws."""
    rng = np.random.default_rng(seed)
    squares = errors**2
    draws = [rng.choice(squares, len(squares)).mean() for _ in range(_DRAWS)]
    low, high = np.sqrt(np.percentile(draws, (2.5, 97.5)))
    return float(low), float(high)
