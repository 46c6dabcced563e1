"""How much memory this process may still take, and a line where that is too little."""

from __future__ import annotations

from collections.abc import Iterator

from pocketknn.builder.errors import InputError

from . import container

TOO_LARGE = "references-too-large"  # the code of what is refused
# In each version: the limit, what is used of it, and what of that is only files read lately.
_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def check_free(what: str, needed: int, way_out: str) -> None:
    """Refuse what takes more memory than is free, swap included.

    Args:
        what: takes it; the beginning of the sentence, in the plural.
        needed: bytes that it takes at the least.
        way_out: what to do instead.

    Raises:
        InputError: it is too little.
    """
    if needed > (free := free_memory()):
        raise InputError(
            f"{what} need at least {told(needed)} of memory, but {told(free)} is free; {way_out}",
            TOO_LARGE,
        )


def free_memory() -> int:
    """Bytes that this process may still take: what the machine has, and its container allows."""
    import psutil

    machine = int(psutil.virtual_memory().available + psutil.swap_memory().free)
    return min([machine, *_allowed()])


def told(size: float) -> str:
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
