"""Split batches of inputs into what a runtime takes at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices import growth
from pocketknn.builder.choices.metrics import METRICS

from .protocol import Outputs, Run

_MOST = 32  # inputs at once
_DIFFERENCES = 1 << 23  # numbers that they may store, 32 MiB


@dataclass(frozen=True, kw_only=True, eq=False)
class Blocks:
    """Runs a batch in blocks.

    Attributes:
        run: maps up to `size` inputs to their outputs.
        size: inputs per block.
        nothing: the memory used when a call passes none, see `nothing_taught`.
        workers: how many blocks run at once.
        seconds: returns how long another process took to open the file; None if this process opened
            it.
    """

    run: Run
    size: int
    nothing: NDArray[np.float32] | None
    workers: int = 1
    seconds: Callable[[], float] | None = None

    def __call__(self, batch: NDArray[Any], memory: NDArray[np.float32] | None = None) -> Outputs:
        """The named outputs, as for `Run`."""
        given = self.nothing if memory is None else memory
        starts = range(0, len(batch), self.size)

        def part(start: int) -> Outputs:
            return self.run(batch[start : start + self.size], given)

        if self.workers > 1 and len(starts) > 1:
            with ThreadPoolExecutor(self.workers) as workers:
                parts = list(workers.map(part, starts))
        else:
            parts = list(map(part, starts))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def in_blocks(
    run: Run, size: int = 1, nothing: NDArray[np.float32] | None = None, workers: int = 1
) -> Blocks:
    """Run a batch in blocks; the arguments are the attributes of `Blocks`."""
    return Blocks(run=run, size=size, nothing=nothing, workers=workers)


def nothing_taught(manifest: Mapping[str, Any]) -> NDArray[np.float32] | None:
    """An empty memory for a file with this manifest; None if it does not grow."""
    facts = manifest.get(growth.NAME)
    return growth.nothing(facts["slots"], facts["width"]) if facts else None


def together(manifest: Mapping[str, Any]) -> int:
    """How many inputs a file may be given at once.

    Args:
        manifest: the file's manifest.
    """
    metric, memory = METRICS[manifest["metric"]], manifest.get(growth.NAME)
    # Manhattan distance stores the differences to all references for each input of a batch, and
    # every distance those to all taught examples.
    if not metric.BY_PRODUCT:
        return 1
    if not memory or metric.ANGULAR:
        return _MOST
    numbers = int(memory["slots"] * memory["width"])
    return max(1, min(_MOST, _DIFFERENCES // numbers))
