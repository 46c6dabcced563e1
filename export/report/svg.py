"""Figures of matplotlib as SVG of the page: its fonts, and its colours in light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What matplotlib writes, and what the page reads: one place of the page sets all colours.
INK, _FAINT = "#010203", "#040506"
COLOURS = ("#0a0b0c", "#0d0e0f", "#101112")
_VARIABLES = {INK: "var(--ink)", _FAINT: "var(--line)"} | {
    colour: f"var(--series-{number})" for number, colour in enumerate(COLOURS, 1)
}
_SIZE = (5.8, 3.6)  # inches of 72 units; on a phone the page shows them at some 0.85
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pocketknn",
    "font.size": 12.5,
    "text.parse_math": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "grid.color": _FAINT,
    "axes.grid": True,
    "legend.frameon": False,
    "lines.linewidth": 2,
}


@contextmanager
def figure(x_label: str, y_label: str) -> Iterator[tuple[Figure, Axes]]:
    """A figure in the style of the page, which holds until it is written."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        drawn = Figure(figsize=_SIZE, layout="constrained")
        axes = drawn.add_subplot()
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.set_axisbelow(True)
        axes.grid(axis="x", visible=False)
        yield drawn, axes


def svg(figure: Figure) -> str:
    """The figure as an element of the page: no size, fonts, colours or addresses of its own."""
    written = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    text = written.getvalue()
    text = text[text.index("<svg") :]
    head, _, body = text.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, variable)
    return f'<svg {box.group() if box else ""} aria-hidden="true">{body}'
