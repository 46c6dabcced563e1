"""Check before work begins that a build fits into memory, here and on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.errors import InputError
from pocketknn.builder.spec import STORES, Spec
from pocketknn.builder.system import container

_BROADCAST_LIMIT = 1 << 28  # bytes of the differences to all references, which a phone must hold
_SCANNED = 64 * 5  # bytes per reference of the narrowest scan, float32 plus codes
_CONVERTING = 1.4e9  # peak bytes of a build that converts templates; 1.35e9 measured
# Per cgroup version: the limit, its current use, and the part of that which is reclaimable cache.
_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def check_room(spec: Spec, n: int, d: int, *, held: bool = False) -> None:
    """Check that the references fit into free memory, swap included.

    This counts the minimum that a build holds at once; the peak may be half as much again.

    Args:
        spec: with the projection, `references_precision` and `search`.
        n: how many references.
        d: values of an embedding.
        held: the embeddings are in memory already.

    Raises:
        InputError: not enough memory.
    """
    r = d if spec.projection in ("none", "auto") else 1
    if isinstance(spec.pca, int):
        r = min(spec.pca, d)
    each = STORES[spec.references_precision] * r
    each += 0 if held else 4 * d
    # PCA runs in float64 on all rows; the projection `classes` on a block at a time.
    each += 8 * d if spec.projection == "pca" else 0
    each += _SCANNED if spec.search in SEARCHES and SEARCHES[spec.search].SCANS else 0
    free = free_memory()
    if n * each > free:
        raise InputError(
            f"{n:,} references of {d} values take at least {_text(n * each)} of memory, but only"
            f" {_text(free)} are free; take fewer photos, or a machine with more memory",
            "not-enough-memory",
        )


def check_differences(metric: str, n: int, r: int) -> None:
    """Check that a metric that needs all differences to the references fits on a phone."""
    needed = n * r * 4
    if METRICS[metric].BY_PRODUCT or needed <= _BROADCAST_LIMIT:
        return
    raise InputError(
        f"{metric} distances to {n} references of {r} values take {needed >> 20} MiB per query,"
        f" above the limit of {_BROADCAST_LIMIT >> 20} MiB; take fewer references, --projection"
        " pca:SIZE, or the metric euclidean or cosine",
        "too-many-differences",
    )


def warn_of_converting(note: Callable[[str], None]) -> None:
    """Warn that the system may kill a first build, which converts, if memory is short."""
    if (free := free_memory()) < _CONVERTING:
        note(
            f"warning: {_text(free)} of memory are free; a first build needs about"
            f" {_text(_CONVERTING)} to convert, and the system may kill it if memory runs out"
        )


def free_memory() -> int:
    """Bytes that this process may still take, as limited by machine and container."""
    import psutil

    machine = int(psutil.virtual_memory().available + psutil.swap_memory().free)
    return min([machine, *_allowed()])


def _text(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _allowed() -> Iterator[int]:
    """Bytes left under the memory limit of each control group of this process, if any."""
    for folder, version in container.folders("memory"):
        limit, used, files = _FILES[version]
        try:
            most = int((folder / limit).read_text("ascii"))  # "max" if there is none
            taken = int((folder / used).read_text("ascii"))
            stat = dict(
                line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines()
            )
            yield max(most - taken + int(stat.get(files, 0)), 0)
        except (OSError, ValueError):
            continue
