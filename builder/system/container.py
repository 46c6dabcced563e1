"""The control groups that limit this process, as in a container."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_OWN, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def folders(controller: str) -> Iterator[tuple[Path, int]]:
    """The folders of the groups whose limits apply to this process, and their cgroup version.

    Args:
        controller: `memory` or `cpu`.
    """
    try:
        lines = _OWN.read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not path:  # malformed line
            continue
        version = 2 if number == "0" else 1
        if version == 1 and controller not in controllers.split(","):
            continue
        root = _GROUPS if version == 2 else _GROUPS / controller
        # In a container, its own group may be the root of the visible hierarchy.
        here = root / path.lstrip("/")
        for folder in (here, *here.parents):
            if folder.is_relative_to(root):
                yield folder, version


def cores() -> int:
    """How many cores this process may use; a container's share of them is rounded up."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS or Windows
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return max(1, math.ceil(min(count, _allowed())))


def _allowed() -> float:
    """The number of cores that the groups allow, possibly fractional; infinite without a limit."""
    return min((quota / period for quota, period in _quotas()), default=math.inf)


def _quotas() -> Iterator[tuple[int, int]]:
    """Pairs of CPU quota and period, both in microseconds, from the groups that have a limit."""
    for folder, version in folders("cpu"):
        try:
            if version == 2:
                quota, period = (folder / "cpu.max").read_text("ascii").split()
            else:
                names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                quota, period = ((folder / name).read_text("ascii") for name in names)
            limit = int(quota), int(period)  # "max", or -1, without a limit
            if min(limit) > 0:
                yield limit
        except (OSError, ValueError):
            continue
