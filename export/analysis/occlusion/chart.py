"""The figure of an explanation: the picture, the parts that matter, and its neighbours."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.export.manifest.metadata import SHOWN

from .explanation import SAME, Explanation, Near, Occlusion
from .words import number, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = "PuOr_r"  # orange lowers, purple raises: colour-blind people can distinguish them
_STRONGEST = 0.8  # opacity; parts without effect are transparent
_LONGEST = 36  # characters of a name above a picture
_BROAD, _LINES = 14, 6  # characters and lines of a name shown instead of a picture
_EMPTY = 0.92  # grey of a missing picture
_PALEST = 0.4  # grey that replaces black, on which the colours would not show
_WIDTH, _TOP, _BOTTOM = 3.1, 3.5, 2.0  # inches: of a panel, and of the two rows


def draw(
    found: Explanation, name: str, thumbnails: Mapping[str, NDArray[np.uint8]] | None = None
) -> Figure:
    """Draw a picture, a map for each number, and the nearest references.

    References are shown as thumbnails (H, W, 3) by id where available, otherwise as names.
    """
    from matplotlib.figure import Figure

    panels = 1 + len(found.maps)
    figure = Figure(figsize=(_WIDTH * panels, _TOP + _BOTTOM), dpi=150, layout="constrained")
    rows = figure.subfigures(2, 1, height_ratios=(_TOP, _BOTTOM), squeeze=False)
    above, below = rows[:, 0]
    axes = above.subplots(1, panels)
    _show(axes[0], found.picture)
    _title(axes[0], name, found.label)
    for one, place in zip(found.maps, axes[1:], strict=True):
        _draw_map(place, found, one)
    count = min(len(found.near), SHOWN)
    below.suptitle(
        f"nearest references ({count} of {len(found.near)}), and their scores", fontsize="medium"
    )
    places = below.subplots(1, SHOWN)
    for near, place in zip(found.near, places, strict=False):
        _draw_near(place, near, (thumbnails or {}).get(near.id))
    for place in places[len(found.near) :]:
        place.set_axis_off()
    return figure


def _draw_map(axes: Axes, found: Explanation, one: Occlusion) -> None:
    """The picture in grey, overlaid in colour with the effect of hiding each part."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    pale = _PALEST + (1 - _PALEST) * found.picture.mean(axis=2, keepdims=True) / 255
    _show(axes, np.repeat(pale, 3, axis=2))
    _title(axes, titled(one), number(one, one.plain))
    cost = found.patches.spread(one.loss)
    largest = float(np.abs(cost).max())
    if largest <= SAME:
        axes.set_xlabel("no single patch changes it", fontsize="small")
        return
    norm = Normalize(-largest, largest)
    opacity = _STRONGEST * np.sqrt(np.abs(cost) / largest)
    axes.imshow(cost, cmap=_COLOURS, norm=norm, alpha=opacity)
    bar = axes.figure.colorbar(
        ScalarMappable(norm, _COLOURS), ax=axes, location="bottom", aspect=30
    )
    bar.ax.tick_params(labelsize="x-small")
    bar.locator = MaxNLocator(4)
    if one.what == "vote":
        bar.formatter = FuncFormatter(lambda share, place: f"{100 * share:.3g}%")
    bound = " (dots: this much or more)" if one.bounded.any() else ""
    bar.set_label(f"loss when a square is hidden{bound}", fontsize="small")
    starts, side = found.patches.starts, found.patches.side
    if (worst := one.worst) is not None:
        corner = (starts[worst[1]] - 0.5, starts[worst[0]] - 0.5)
        axes.add_patch(Rectangle(corner, side, side, fill=False, linewidth=1.2))
    rows, columns = np.nonzero(one.bounded)
    middles = starts + (side - 1) / 2
    axes.plot(middles[columns], middles[rows], ".", color="black", markersize=2)


def _draw_near(axes: Axes, one: Near, picture: NDArray[np.uint8] | None) -> None:
    """Draw a reference's picture, or its name if it has none."""
    _title(axes, one.label, f"{one.score:.3f}")
    if picture is not None:
        _show(axes, picture)
        return
    _show(axes, np.full((1, 1, 3), _EMPTY))
    lines = textwrap.wrap(one.name, _BROAD)[:_LINES]
    axes.text(0, 0, "\n".join(lines), ha="center", va="center", fontsize=7, parse_math=False)


def _show(axes: Axes, picture: NDArray[Any]) -> None:
    axes.imshow(picture)
    axes.set_xticks([])
    axes.set_yticks([])


def _title(axes: Axes, first: str, second: str) -> None:
    longest = textwrap.shorten(first, _LONGEST, placeholder="…") or first[:_LONGEST]
    axes.set_title(f"{longest}\n{second}", fontsize="small", parse_math=False)
