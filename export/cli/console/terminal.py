"""Output to the terminal, with control characters in names made harmless, and progress bars."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.segment import Segment

from pocketknn.export.apps.teach import STEPS
from pocketknn.export.pipeline.request import Watch

from .quiet import note
from .tables import variants_table
from .text import say, shown

if TYPE_CHECKING:
    from pocketknn.export.sizes.budget import Budget, Variant


class _Console(Console):
    """Escapes the control characters of names, in lines and in tables."""

    def print(self, *objects: Any, **choices: Any) -> None:  # noqa: ANN401
        """Print as rich's console does, but escape line breaks, so that text stays on one line."""
        safe = [shown(one) if isinstance(one, str) else one for one in objects]
        super().print(*safe, **choices)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments to write; only those that rich itself adds may hold control codes."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else shown(text, keep="\n"), style, control)


console = _Console(highlight=False, soft_wrap=True, emoji=False)


@contextmanager
def progress(name: str, total: int, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A progress bar for one step, visible only if `shown`; call what it yields to advance it."""
    with _bars(shown) as bar:
        step = bar.add_task(name, total=total)
        yield lambda done: bar.advance(step, done)


@contextmanager
def watched(within: Budget | None = None) -> Iterator[Watch]:
    """Bars and lines for a pipeline's progress; messages are printed once it has succeeded."""
    remarks: list[str] = []
    bars: list[Progress] = []  # none before the first step: a bar leaves a line behind
    with ExitStack() as shown:

        def step(name: str, total: int | None) -> None:
            if os.environ.get(STEPS):  # for a program that shows them to people
                note(f"{name} …")
                return
            if not bars:
                bars.append(shown.enter_context(_bars()))
            (bar,) = bars
            # A step of known length gets a line of its own; one that only has a name does not.
            if not bar.tasks or (total is not None and bar.tasks[-1].total is not None):
                bar.add_task(name, total=total)
            else:
                bar.update(bar.tasks[-1].id, description=name, total=total)

        def done(count: int) -> None:
            for bar in bars:
                bar.advance(bar.tasks[-1].id, count)

        def variants(found: Sequence[Variant], sample: int) -> None:
            assert within is not None
            console.print(variants_table(found, within, sample))

        yield Watch(
            note=note,
            remark=remarks.append,
            step=step,
            done=done,
            variants=variants,
        )
    say(*dict.fromkeys(remarks))


def _bars(shown: bool = True) -> Progress:
    bar = BarColumn(bar_width=24)  # leaves room for the description in 80 columns
    columns = (SpinnerColumn(), TextColumn("{task.description}"), bar, MofNCompleteColumn())
    return Progress(*columns, console=console, disable=not shown)
