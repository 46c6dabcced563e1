"""The heads: what the graph says about the neighbours it found, one file per head.

A head module has one function, `attach(scores, indices, fit, exact_hit)`, which returns the named
outputs it adds to `scores` and `indices`.
"""

from __future__ import annotations

from types import ModuleType

from . import classify, neighbors, regress

HEADS: dict[str, ModuleType] = {"classify": classify, "regress": regress, "neighbors": neighbors}
