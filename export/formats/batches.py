"""Batches of inputs, as many at a time as a runtime takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics import METRICS

from .protocol import Outputs, Run


def in_blocks(run: Run, size: int = 1) -> Run:
    """Run a batch some inputs at a time.

    Args:
        run: from so many inputs to their outputs.
        size: how many.
    """

    def blocks(batch: NDArray[Any]) -> Outputs:
        parts = [run(batch[start : start + size]) for start in range(0, len(batch), size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return blocks


def together(manifest: Mapping[str, Any]) -> int:
    """How many inputs a file may be given at once.

    Args:
        manifest: what the file says about itself.
    """
    # Manhattan's differences to all references are made for each input of a batch.
    return 32 if METRICS[manifest["metric"]].BY_PRODUCT else 1
