"""How good a fit is: measured once, for the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.knn.fit import Fit
from pocketknn.builder.knn.validation import image_search, learned_strangers, rejection
from pocketknn.builder.knn.validation.apart import Apart, apart
from pocketknn.builder.knn.validation.calibration import Calibration, calibrated
from pocketknn.builder.knn.validation.image_search import Copies, ImageSearch
from pocketknn.builder.knn.validation.learned_strangers import LearnedStrangers
from pocketknn.builder.knn.validation.leave_one_out import (
    LeaveOneOut,
    Unprojected,
    leave_one_out,
    unprojected,
)
from pocketknn.builder.knn.validation.rejection import Rejection


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The measurements of a fit; each is None if not applicable or not measured.

    Attributes:
        leave_one_out: how well each reference is predicted from the others.
        unprojected: what the projection costs.
        rejection: what the threshold rejects.
        apart: how much the accuracy would be inflated if photos that belong together could vote for
            each other.
        image_search: how good the neighbours are, if they are the answer.
        calibration: how far confidence is from accuracy.
        strangers: what is gained by references of the class unknown.
    """

    leave_one_out: LeaveOneOut | None = None
    unprojected: Unprojected | None = None
    rejection: Rejection | None = None
    apart: Apart | None = None
    image_search: ImageSearch | None = None
    calibration: Calibration | None = None
    strangers: LearnedStrangers | None = None


def measure(
    fit: Fit,
    strangers: NDArray[np.floating] | None = None,
    without: Fit | None = None,
    copies: Mapping[str, Copies] | None = None,
) -> Figures:
    """Measure a fit on its own references.

    Args:
        fit: the choices and the stored examples.
        strangers: embeddings (q, d) of pictures that show no class, to measure how many pass.
        without: the fit with a threshold instead of references of the class unknown, if any.
        copies: altered copies of some references, to measure whether a search finds their
            originals.
    """
    return Figures(
        leave_one_out=leave_one_out(fit),
        unprojected=unprojected(fit),
        rejection=rejection.measure(fit, strangers),
        apart=apart(fit),
        image_search=image_search.measure(fit, copies),
        calibration=calibrated(fit),
        strangers=_learned(fit, strangers, without),
    )


def _learned(
    fit: Fit, strangers: NDArray[np.floating] | None, without: Fit | None
) -> LearnedStrangers | None:
    """The gain from references of the class unknown over a threshold; None without them."""
    if strangers is None or not fit.strangers.any():
        return None
    threshold = rejection.measure(without, strangers) if without else None
    return learned_strangers.measure(fit, strangers, threshold)
