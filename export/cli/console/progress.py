"""The bars that people see while pictures are embedded and files are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from pocketknn.export.pipeline.request import Watch

from .quiet import note
from .terminal import console
from .text import say

if TYPE_CHECKING:
    from pocketknn.export.sizes.budget import Budget, Variant


@contextmanager
def progress(shown: bool = True) -> Iterator[Progress]:
    """A bar for each step, as long as the work goes on; none where JSON is printed."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not shown) as bar:
        yield bar


@contextmanager
def watched(within: Budget | None = None) -> Iterator[Watch]:
    """Bars and lines for what a pipeline tells; remarks are printed when it has ended well.

    Args:
        within: what variants are measured for.
    """
    remarks: list[str] = []
    bars: list[Progress] = []  # none before the first step, as a bar leaves a line behind
    with ExitStack() as shown:

        def step(name: str, total: int | None) -> None:
            if not bars:
                bars.append(shown.enter_context(progress()))
            (bar,) = bars
            # A step whose length is known gets a line of its own, but for one that only has a name.
            if not bar.tasks or (total is not None and bar.tasks[-1].total is not None):
                bar.add_task(name, total=total)
            else:
                bar.update(bar.tasks[-1].id, description=name, total=total)

        def variants(found: Sequence[Variant], sample: int) -> None:
            from .tables import variants_table

            assert within is not None
            console.print(variants_table(found, within, sample))

        yield Watch(
            note=note,
            remark=remarks.append,
            step=step,
            done=lambda count: bars[0].advance(bars[0].tasks[-1].id, count),
            variants=variants,
        )
    say(*dict.fromkeys(remarks))
