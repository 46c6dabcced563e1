"""The heads: what the graph says about the neighbours it found, one file per head.

A head module has two functions. `constants(fit, exact_hit)` names what it holds of the references;
`attach(scores, indices, fit, given)`, given those, returns the outputs that it adds to `scores` and
`indices`.
"""

from __future__ import annotations

from types import ModuleType

from . import classify, neighbors, regress

HEADS: dict[str, ModuleType] = {"classify": classify, "regress": regress, "neighbors": neighbors}
