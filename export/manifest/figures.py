"""How good a fit is: measured once, before the manifest says it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.knn import rejection
from pocketknn.builder.knn.evaluation import LeaveOneOut, Unprojected, leave_one_out, unprojected
from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.rejection import Rejection


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured of a fit; each is None where there is nothing to measure, or nobody did.

    Attributes:
        leave_one_out: how well each reference is answered by the others.
        unprojected: what the projection costs.
        rejection: what the threshold rejects.
    """

    leave_one_out: LeaveOneOut | None = None
    unprojected: Unprojected | None = None
    rejection: Rejection | None = None


def measure(fit: Fit, strangers: NDArray[np.floating] | None = None) -> Figures:
    """Measure a fit on its own references.

    Args:
        fit: the choices and the stored examples.
        strangers: embeddings (q, d) of pictures of no class, to measure rejection on.
    """
    return Figures(
        leave_one_out=leave_one_out(fit),
        unprojected=unprojected(fit),
        rejection=rejection.measure(fit, strangers),
    )
