"""What reaches the terminal: whatever names hold, no character there gives it orders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from .text import shown


class _Console(Console):
    """Shows what is in a name that would give the terminal orders, in lines and in tables."""

    def print(self, *objects: Any, **choices: Any) -> None:  # noqa: ANN401
        """As the console of rich; a text with a line break in it is still one line."""
        said = [shown(one) if isinstance(one, str) else one for one in objects]
        super().print(*said, **choices)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The pieces that rich writes, of which only its own give orders."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else shown(text, keep="\n"), style, control)


console = _Console(highlight=False, soft_wrap=True, emoji=False)
