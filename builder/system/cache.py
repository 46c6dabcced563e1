"""The cache of builds: a folder with subfolders ("drawers") and a size limit.

Other programs may use the same folder. Our items are recognised by their names, mostly a hash of
everything that determines the content, versions included; nothing else is ever removed.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LIMIT = 8 << 30  # bytes; beyond that, the least recently used items are removed
_DAY = 24 * 3600  # seconds; items used since then stay, as a build may be reading them
_KEY = r"(.+-)?[0-9a-f]{24}"
# Each drawer's subfolder, the pattern of its names, and whether `trim` may remove its items.
_DRAWERS = {
    "embeddings": ("", rf"{_KEY}\.sqlite", True),
    "networks": ("", rf"{_KEY}(\.onnx)?\.network", True),
    "facts": ("", rf"{_KEY}\.facts", True),
    "places": ("", rf"{_KEY}\.place", True),
    "templates": ("templates", _KEY, True),
    "shards": ("shards", rf"{_KEY}\.parquet", True),
    "runtimes": ("", r"onnxruntime-web-\d+\.\d+\.\d+", False),
    "settings": ("", "keras-settings|matplotlib-settings", False),
}
_FOLDERS = ("templates", "runtimes", "settings")  # drawers that hold folders, not files


@dataclass(frozen=True)
class Cache:
    """A folder for results that can be computed again.

    Attributes:
        place: the folder; None for the default, which is read from the environment at each use.
    """

    place: Path | None = None

    @property
    def folder(self) -> Path | None:
        """The path of the cache; None without a home folder."""
        return self.place or folder()

    def drawer(self, name: str) -> Path | None:
        """The folder of a drawer, which may not exist yet."""
        return self.folder / _DRAWERS[name][0] if self.folder else None

    def items(self, name: str) -> list[Path]:
        """Our items in a drawer; links are not ours."""
        place = self.drawer(name)
        found = place.iterdir() if place and place.is_dir() else ()
        named = (path for path in found if re.fullmatch(_DRAWERS[name][1], path.name))
        kind = Path.is_dir if name in _FOLDERS else Path.is_file
        return sorted(path for path in named if not path.is_symlink() and kind(path))

    def everything(self) -> list[Path]:
        """All our items."""
        return [path for name in _DRAWERS for path in self.items(name)]

    def clear(self) -> int:
        """Remove all our items, and return their number."""
        paths = self.everything()
        for path in paths:
            with suppress(FileNotFoundError):  # another process has just removed it
                _remove(path)
        return len(paths)

    def trim(self, limit: int = LIMIT) -> None:
        """Remove the least recently used items until the rest fits within a limit."""
        found = []
        for name in (name for name, (*_, removable) in _DRAWERS.items() if removable):
            with suppress(OSError):  # an unreadable drawer is skipped
                found += [(_used(path), path) for path in self.items(name)]
        total = 0
        for used, path in sorted(found, reverse=True):
            total += size_of(path)
            if total > limit and used < time.time() - _DAY:
                with suppress(OSError):  # go on with the others
                    _remove(path)


USUAL = Cache()


def folder() -> Path | None:
    """The folder POCKETKNN_CACHE, or pocketknn in the user's cache folder; None without a home."""
    if named := os.environ.get("POCKETKNN_CACHE"):
        return Path(named)
    try:
        above = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # no home
        return None
    return Path(above) / "pocketknn"


def key_of(made_by: Sequence[object]) -> str:
    """A hash, used as a name, of everything that determines the content."""
    import hashlib
    import json

    return hashlib.sha256(json.dumps(made_by).encode()).hexdigest()[:24]


def mark_used(path: Path) -> None:
    """Record that an item was used just now."""
    with suppress(OSError):  # a read-only cache still works
        os.utime(path)


def size_of(path: Path) -> int:
    """Bytes of an item, without files that another process has just removed."""
    found = [path] if path.is_file() else []
    for parent, _, names in os.walk(path):  # which skips folders that are gone
        found += [Path(parent, name) for name in names]
    total = 0
    for file in found:
        with suppress(OSError):
            total += file.stat().st_size
    return total


def write(path: Path, content: bytes) -> None:
    """Write a file of the cache atomically.

    Raises:
        OSError: it cannot be written.
    """
    from .atomic_file import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as made:
        made.write_bytes(content)


def _used(path: Path) -> float:
    """When an item was last used; 0 if another process has just removed it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _remove(path: Path) -> None:
    if path.is_dir():
        import shutil

        shutil.rmtree(path)
    else:
        path.unlink()
