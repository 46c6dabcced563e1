"""The chart of shifts: share of unchanged answers by strength, one panel per shift."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from pocketknn.builder.wording import counted
from pocketknn.export.analysis.figures import COLOURS, MARKERS

from .measure import Shifted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 4
_LINES = {
    "accuracy": "accuracy",
    "same_label": "same class as unchanged",
    "first_equal": "same nearest reference",
    "recall": "neighbours in common",
}


def draw(rows: Sequence[Shifted]) -> Figure:
    """Draw the results; a grey line marks the unchanged photos."""
    from matplotlib.figure import Figure

    panels = [list(group) for _, group in groupby(rows, key=lambda row: row.shift)]
    lines = {key: name for key, name in _LINES.items() if getattr(rows[0], key) is not None}
    figure = Figure(figsize=(12, 6.4), dpi=150, layout="constrained")
    places = figure.subplots(-(-len(panels) // _COLUMNS), _COLUMNS, sharey=True)
    for axes, panel in zip(places.flat, panels, strict=True):
        _draw_panel(axes, panel, list(lines))
    for axes in places[:, 0]:
        axes.yaxis.set_major_formatter(lambda share, place: f"{100 * share:.3g}%")
    places[0, 0].set_ylim(-0.03, 1.03)
    figure.legend(
        places[0, 0].get_lines()[1:],
        lines.values(),
        loc="outside lower center",
        ncols=4,
        frameon=False,
    )
    figure.suptitle(
        f"{rows[0].name} on {counted(rows[0].photos, 'photo')}; grey: unchanged", fontsize="medium"
    )
    return figure


def _draw_panel(axes: Axes, rows: Sequence[Shifted], lines: Sequence[str]) -> None:
    """Draw one shift. Strengths are evenly spaced; unordered ones are not connected."""
    ordered = any(isinstance(row.strength, int | float) for row in rows)
    axes.axvline([row.plain for row in rows].index(True), color="0.85", linewidth=4)
    for key, colour, marker in zip(lines, COLOURS, MARKERS, strict=False):
        axes.plot(
            [getattr(row, key) for row in rows],
            color=colour,
            marker=marker,
            markersize=5,
            linewidth=1.6,
            linestyle="-" if ordered else "none",
        )
    words = [str(row.strength) for row in rows]
    axes.set_xticks(range(len(rows)), [word.replace(" ", "\n") for word in words])
    axes.tick_params(labelsize="small")
    axes.set_xlabel(rows[0].unit, fontsize="small")
    axes.set_title(rows[0].shift, fontsize="medium")
    axes.grid(axis="y", color="0.85", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
