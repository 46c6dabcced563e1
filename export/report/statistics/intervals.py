"""How sure a number is that was measured on so many pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pocketknn.builder.choices.neighbors import Floats

_DRAWS, _AT_ONCE = 1000, 100


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
        from scipy.stats import binomtest

        low, high = binomtest(self.count, self.of).proportion_ci(0.95, "wilson")
        return float(low), float(high)


def rmse_interval(errors: Floats, seed: int) -> tuple[float, float]:
    """95 % percentile bootstrap of the root mean squared error over errors (q,): 1,000 draws."""
    from scipy.stats import bootstrap

    found = bootstrap(
        (errors**2,),
        np.mean,
        n_resamples=_DRAWS,
        batch=_AT_ONCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = np.sqrt(found.confidence_interval)
    return float(low), float(high)
