"""Under what terms a file may be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def licence(manifest: Mapping[str, Any]) -> str:
    """Under what terms a file may be used: the builder's words, and whose the backbone is."""
    backbone = manifest["backbone"] or {}
    # Builds before there were such backbones do not name any.
    return "; ".join(filter(None, (manifest["license"], backbone.get("attribution"))))
