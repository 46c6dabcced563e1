"""Check before work begins that a build fits into memory, here and on a phone."""

from __future__ import annotations

from collections.abc import Callable

from pocketknn.builder.choices import room
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.errors import InputError
from pocketknn.builder.spec import STORES, Spec
from pocketknn.builder.system.free_memory import check_free, free_memory, told

_BROADCAST_LIMIT = 1 << 28  # bytes of the differences to all references, which a phone must hold
_SCANNED = 64 * 5  # bytes of a reference in the narrowest scan, in float32 and as codes
_CONVERTING = 1.4e9  # peak bytes of a build that makes its own templates; 1.35e9 measured


def check_room(spec: Spec, n: int, d: int, *, held: bool = False) -> None:
    """Check that the references fit into free memory, swap included.

    This counts the minimum that a build holds at once; the peak may be half as much again.

    Args:
        spec: with the projection, `references_precision`, `search` and `grow`.
        n: how many references.
        d: values per embedding.
        held: whether the embeddings are already in memory.

    Raises:
        InputError: there is too little memory, here or, for taught examples, on a phone.
    """
    r = d if spec.projection in ("none", "auto") else 1
    if isinstance(spec.pca, int):
        r = min(spec.pca, d)
    each = STORES[spec.references_precision] * r
    each += 0 if held else 4 * d
    # PCA runs in float64 on all rows; the projection `classes` on a block at a time.
    each += 8 * d if spec.projection == "pca" else 0
    each += _SCANNED if spec.search in SEARCHES and SEARCHES[spec.search].SCANS else 0
    if spec.grow:
        room.check_room(spec.grow, d)
    check_free(
        f"{n:,} references of {d} values", n * each, "use fewer photos, or a machine with more"
    )


def check_differences(metric: str, n: int, r: int) -> None:
    """Check that a metric that computes its differences from all references fits on a phone."""
    needed = n * r * 4
    if METRICS[metric].BY_PRODUCT or needed <= _BROADCAST_LIMIT:
        return
    raise InputError(
        f"{metric} distances to {n} references of {r} values take {needed >> 20} MiB per query,"
        f" above the limit of {_BROADCAST_LIMIT >> 20} MiB; use fewer references, --projection"
        " pca:SIZE, or the metric euclidean or cosine",
        "too-many-differences",
    )


def warn_of_converting(note: Callable[[str], None], held: int) -> None:
    """Warn if a first build, which converts, may run out of memory and be killed.

    Args:
        note: called with the warning.
        held: bytes of embeddings that will also be in memory.
    """
    needed = _CONVERTING + held
    if (free := free_memory()) < needed:
        note(
            f"warning: only {told(free)} of memory is free; a first build needs {told(needed)}"
            " to convert the backbone, and the system may kill it if memory runs out"
        )
