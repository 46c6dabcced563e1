"""Where caches lie."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path | None:
    """Where caches lie: POCKETKNN_CACHE, or pocketknn in the user's cache folder; None without."""
    if named := os.environ.get("POCKETKNN_CACHE"):
        return Path(named)
    try:
        above = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # no home
        return None
    return Path(above) / "pocketknn"
