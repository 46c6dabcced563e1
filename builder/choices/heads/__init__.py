"""What is said of the neighbours; `protocols.Head` says what a head is asked for."""

from __future__ import annotations

from pocketknn.builder.choices.protocols import Head

from . import classify, neighbors, regress

HEADS: dict[str, Head] = {"classify": classify, "regress": regress, "neighbors": neighbors}


def of_classes() -> str:
    """The heads that answer with shares of classes, in words."""
    return " or ".join(repr(name) for name, head in HEADS.items() if head.CLASSES)
