"""Charts of a report as inline SVG, with the page's fonts and its light and dark colours."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.neighbors import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Colours that matplotlib writes, replaced by the page's variables: one place sets them all.
_INK, _FAINT = "#010203", "#040506"
_COLOURS = ("#0a0b0c", "#0d0e0f", "#101112")
_VARIABLES = {_INK: "var(--ink)", _FAINT: "var(--line)"} | {
    colour: f"var(--series-{number})" for number, colour in enumerate(_COLOURS, 1)
}
_SIZE = (5.8, 3.6)  # inches of 72 units; scaled to about 0.85 on a phone
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pocketknn",
    "font.size": 12.5,
    "text.parse_math": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.color": _INK,
    "grid.color": _FAINT,
    "axes.grid": True,
    "legend.frameon": False,
    "lines.linewidth": 2,
}
_DASHES = ("-", "--", ":")
_MOST_MARKED = 20  # values; a line with more has no markers


@contextmanager
def _figure(x_label: str, y_label: str) -> Iterator[tuple[Figure, Axes]]:
    """A figure in the style of the page; write it inside the block."""
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


def _svg(figure: Figure) -> str:
    """The figure as an inline element, without size, fonts, colours or addresses of its own."""
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


class Line(NamedTuple):
    """A line of a chart.

    Attributes:
        name: for the legend; "" for none.
        x: (p,) positions.
        y: (p,) values.
        low: (p,) lower end of its band, or None.
        high: (p,) upper end of its band, or None.
    """

    name: str
    x: NDArray[Any]
    y: Floats
    low: Floats | None = None
    high: Floats | None = None


def lines(
    given: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    share: bool = True,
    shares_along: bool = False,
    logarithmic: bool = False,
    marked: tuple[float, str] | None = None,
) -> str:
    """Up to three lines with their bands.

    Args:
        given: the lines.
        x_label: label of the x axis.
        y_label: label of the y axis.
        share: whether the values are shares, shown as percent.
        shares_along: whether x is a share too.
        logarithmic: whether the x axis is logarithmic.
        marked: a position on x to mark, and its name.
    """
    with _figure(x_label, y_label) as (drawn, axes):
        _draw_lines(axes, given)
        if logarithmic:
            _set_logarithmic(axes, given[0].x)
        if share:
            _set_shares(axes)
        if shares_along:
            _in_percent(axes.xaxis)
        if marked is not None:
            _mark(axes, *marked)
        if any(line.name for line in given):
            drawn.legend(loc="outside upper left", ncols=1, fontsize=11.5)
        return _svg(drawn)


def scatter(actual: Floats, answered: Floats) -> str:
    """Predicted against true values, with the line where both are equal."""
    with _figure("true value", "predicted value") as (drawn, axes):
        ends = [min(actual.min(), answered.min()), max(actual.max(), answered.max())]
        axes.plot(ends, ends, color=_INK, linewidth=1, linestyle="--")
        axes.plot(actual, answered, "o", color=_COLOURS[0], markersize=4, alpha=0.6, linewidth=0)
        return _svg(drawn)


def _draw_lines(axes: Axes, given: Sequence[Line]) -> None:
    for number, line in enumerate(given):
        colour = _COLOURS[number]
        if line.low is not None and line.high is not None:
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(
            line.x,
            line.y,
            _DASHES[number],
            color=colour,
            label=line.name or None,
            marker="os^"[number] if len(line.x) <= _MOST_MARKED else None,
            markersize=5,
        )


def _set_logarithmic(axes: Axes, places: Floats) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log")
    ticks = _spread(places)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _set_shares(axes: Axes) -> None:
    _in_percent(axes.yaxis)
    # Room for 0 and 100 %, but no more.
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, -0.02), min(top, 1.02))


def _in_percent(axis: Axis) -> None:
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1, decimals=0))


def _mark(axes: Axes, place: float, name: str) -> None:
    """A dotted vertical line, with its name on the side with more room."""
    axes.axvline(place, color=_INK, linewidth=1, linestyle=(0, (2, 2)))
    left, right = axes.get_xlim()
    beyond = place > (left + right) / 2
    axes.annotate(
        name,
        (place, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if beyond else 5, 0),
        textcoords="offset points",
        ha="right" if beyond else "left",
        va="bottom",
        fontsize=11.5,
    )


def _spread(places: Floats) -> list[float]:
    """Ticks for a logarithmic axis: some of the positions, far enough apart not to overlap."""
    kept = [float(places[0])]
    gap = (np.log(places[-1]) - np.log(places[0])) / 9
    for place in map(float, places[1:]):
        if np.log(place) - np.log(kept[-1]) >= gap:
            kept.append(place)
    last = float(places[-1])
    if kept[-1] != last and len(kept) > 1:
        kept[-1] = last
    return kept
