"""Whether the memory of this machine, and of a phone, holds a build: said before work begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.errors import InputError
from pocketknn.builder.spec import STORES, Spec
from pocketknn.builder.system import container

_BROADCAST_LIMIT = 1 << 28  # bytes of the differences to all references, which a phone must hold
_SCANNED = 64 * 5  # bytes of a reference in the narrowest scan, in float32 and as codes
_CONVERTING = 1.4e9  # bytes at the peak of a build that makes its templates, 1.35 measured
# In each version: the limit, what is used of it, and what of that is only files read lately.
_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def check_room(spec: Spec, n: int, d: int, *, held: bool = False) -> None:
    """Refuse more references than fit into the memory that is free, swap included.

    What is counted is the least that a build keeps at once; what it takes may be half as much
    again.

    Args:
        spec: with the projection, `references_precision` and `search`.
        n: how many references.
        d: values of an embedding.
        held: the embeddings are in memory already.

    Raises:
        InputError: it is too little.
    """
    r = d if spec.projection in ("none", "auto") else 1
    if isinstance(spec.pca, int):
        r = min(spec.pca, d)
    each = STORES[spec.references_precision] * r
    each += 0 if held else 4 * d
    # Principal components are found in float64; what tells classes apart, some rows at a time.
    each += 8 * d if spec.projection == "pca" else 0
    each += _SCANNED if spec.search in SEARCHES and SEARCHES[spec.search].SCANS else 0
    free = free_memory()
    if n * each > free:
        raise InputError(
            f"{n:,} references of {d} values take at least {_told(n * each)} of memory, and"
            f" {_told(free)} are free; take fewer photos, or a machine with more"
        )


def check_differences(metric: str, n: int, r: int) -> None:
    """Refuse metrics without a product, where the differences to all references are too many."""
    needed = n * r * 4
    if METRICS[metric].BY_PRODUCT or needed <= _BROADCAST_LIMIT:
        return
    raise InputError(
        f"{metric} distances to {n} references of {r} values take {needed >> 20} MiB at each"
        f" query, the limit is {_BROADCAST_LIMIT >> 20} MiB; take fewer references, --projection"
        " pca:SIZE, or the metric euclidean or cosine"
    )


def warn_of_converting(note: Callable[[str], None]) -> None:
    """Say that a first build, which converts, may be ended by the system for want of memory."""
    if (free := free_memory()) < _CONVERTING:
        note(
            f"warning: {_told(free)} of memory are free; a first build takes some"
            f" {_told(_CONVERTING)} to convert, and systems end what takes more than there is"
        )


def free_memory() -> int:
    """Bytes that this process may still take: what the machine has, and its container allows."""
    import psutil

    machine = int(psutil.virtual_memory().available + psutil.swap_memory().free)
    return min([machine, *_allowed()])


def _told(size: float) -> str:
    """Bytes in words."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _allowed() -> Iterator[int]:
    """Bytes that are left of each limit of a control group that this process is in, if any."""
    for folder, version in container.folders("memory"):
        limit, used, files = _FILES[version]
        try:
            most = int((folder / limit).read_text("ascii"))  # "max" where there is none
            taken = int((folder / used).read_text("ascii"))
            said = dict(
                line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines()
            )
            yield max(most - taken + int(said.get(files, 0)), 0)
        except (OSError, ValueError):
            continue
