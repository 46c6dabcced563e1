"""How much more memory this process can use, and an error if that is too little."""

from __future__ import annotations

from collections.abc import Iterator

from pocketknn.builder.errors import InputError

from . import container

TOO_LARGE = "references-too-large"  # the code of the error
# Per cgroup version: the limit, its current use, and the part of that which is reclaimable cache.
_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def check_free(what: str, needed: int, way_out: str = "use a machine with more") -> None:
    """Check that something fits into free memory, swap included.

    Args:
        what: the subject of the message, in the plural.
        needed: minimum number of bytes.
        way_out: what to do instead.

    Raises:
        InputError: not enough memory.
    """
    if needed > (free := free_memory()):
        raise InputError(
            f"{what} need at least {told(needed)} of memory, but only {told(free)} is free;"
            f" {way_out}",
            TOO_LARGE,
        )


def free_memory() -> int:
    """Bytes that this process can still use, as limited by machine and container."""
    import psutil

    machine = int(psutil.virtual_memory().available + psutil.swap_memory().free)
    return min([machine, *_allowed()])


def told(size: float) -> str:
    """A number of bytes, for messages."""
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
