"""The control groups that limit this process, as containers do, which the machine does not tell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

_OWN, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def folders(controller: str) -> Iterator[tuple[Path, int]]:
    """The folders of the groups whose limits hold for this process, and their version.

    Args:
        controller: `memory` or `cpu`.
    """
    try:
        lines = _OWN.read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not path:  # no line of the kernel's
            continue
        version = 2 if number == "0" else 1
        if version == 1 and controller not in controllers.split(","):
            continue
        root = _GROUPS if version == 2 else _GROUPS / controller
        # In a container its own group may be the root of all that it sees.
        here = root / path.lstrip("/")
        for folder in (here, *here.parents):
            if folder.is_relative_to(root):
                yield folder, version


def cores() -> float:
    """How many cores' time the groups allow, a part of one included; without a limit infinite."""
    return min((quota / period for quota, period in _quotas()), default=math.inf)


def _quotas() -> Iterator[tuple[int, int]]:
    """Microseconds of processor time in each period of as many microseconds, where both are."""
    for folder, version in folders("cpu"):
        try:
            if version == 2:
                quota, period = (folder / "cpu.max").read_text("ascii").split()
            else:
                names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                quota, period = ((folder / name).read_text("ascii") for name in names)
            limit = int(quota), int(period)  # "max", or -1, where there is none
            if min(limit) > 0:
                yield limit
        except (OSError, ValueError):
            continue
