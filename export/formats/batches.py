"""Split batches of inputs into what a runtime takes at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics import METRICS

from .protocol import Outputs, Run


def in_blocks(run: Run, size: int = 1) -> Run:
    """Run a batch in blocks.

    Args:
        run: maps up to `size` inputs to their outputs.
        size: inputs per block.
    """

    def blocks(batch: NDArray[Any]) -> Outputs:
        parts = [run(batch[start : start + size]) for start in range(0, len(batch), size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return blocks


def together(manifest: Mapping[str, Any]) -> int:
    """How many inputs a file may be given at once.

    Args:
        manifest: the file's manifest.
    """
    # Manhattan distance stores the differences to all references for each input of a batch.
    return 32 if METRICS[manifest["metric"]].BY_PRODUCT else 1
