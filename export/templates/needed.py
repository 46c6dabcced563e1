"""The converters that an order needs and that are not installed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pocketknn.export.formats.requirements import is_there
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.output.names import MODEL

from .order import Order
from .template import from_litert, intact, parts_of


def lacking(order: Order) -> list[str]:
    """The missing converters; none if every part is ready, cached or a packaged backbone."""
    gone = [module for module in FORMATS[order.format].CONVERTERS if not is_there(module)]
    return gone if gone and not all(map(_is_at_hand, parts_of(order))) else []


def _is_at_hand(part: Order) -> bool:
    if any(intact(part, place) for place in (part.ready(), part.kept()) if place is not None):
        return True
    with tempfile.TemporaryDirectory() as folder:
        return from_litert(part, Path(folder) / f"{MODEL}{FORMATS[part.format].SUFFIX}")
