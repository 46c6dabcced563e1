"""Write figures in one style, with deterministic bytes, and completely or not at all."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pocketknn.export.output.new_file import DRAWN, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours that colour-blind people can distinguish: Okabe and Ito, Color Universal Design, 2008.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"


def rendered(figure: Figure, kind: str) -> bytes:
    """A figure as the bytes of a `png` or `svg`."""
    import matplotlib as mpl

    # --force recognises our figures by the maker's name; a date would change the bytes.
    metadata = {"Software": DRAWN.decode()}
    if kind == "svg":
        metadata = {"Creator": DRAWN.decode(), "Date": None}  # type: ignore[dict-item]
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": DRAWN.decode()}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # boxes where the font lacks one
        figure.savefig(stream, format=kind, metadata=metadata)
    return stream.getvalue()


def save(figure: Figure, out: Path, force: bool) -> None:
    """Write a figure to a `.png` or `.svg` that `new_file.check_new` has checked."""
    with saved(out, force) as path:
        path.write_bytes(rendered(figure, out.suffix.lower().removeprefix(".")))
