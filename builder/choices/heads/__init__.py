"""How neighbours become answers; `protocols.Head` is the interface."""

from __future__ import annotations

from pocketknn.builder.choices.protocols import Head

from . import classify, neighbors, regress

HEADS: dict[str, Head] = {"classify": classify, "regress": regress, "neighbors": neighbors}


def of_classes() -> str:
    """The heads that answer with shares of classes, for messages."""
    return " or ".join(repr(name) for name, head in HEADS.items() if head.CLASSES)
