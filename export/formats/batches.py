"""Batches of inputs, as runtimes take them: one at a time, or some together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics import METRICS

from .protocol import Outputs, Run


def one_by_one(run: Callable[[NDArray[Any]], Outputs]) -> Run:
    """Run a batch an input at a time.

    Args:
        run: from one input to its outputs, each with a batch of 1.
    """
    return lambda batch: _joined([run(item) for item in batch])


def in_blocks(run: Run, size: int) -> Run:
    """Run a batch some inputs at a time.

    Args:
        run: from some inputs to their outputs.
        size: how many.
    """
    return lambda batch: _joined(
        [run(batch[start : start + size]) for start in range(0, len(batch), size)]
    )


def together(manifest: Mapping[str, Any]) -> int:
    """How many inputs a file may be given at once.

    Args:
        manifest: what the file says about itself.
    """
    # Manhattan's differences to all references are made for each input of a batch.
    return 32 if METRICS[manifest["metric"]].BY_PRODUCT else 1


def _joined(parts: Sequence[Outputs]) -> Outputs:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
