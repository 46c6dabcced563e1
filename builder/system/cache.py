"""What one build makes and a later one may want: a folder with drawers, bounded.

Other programs may keep theirs in the same folder. What is ours is known by its name, mostly the
hash of all that decides what is in it, versions included; nothing else is ever removed.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LIMIT = 8 << 30  # bytes; beyond that, what was not used for longest is removed
_DAY = 24 * 3600  # seconds; what was used since then stays, as a build may be reading it
_KEY = r"(.+-)?[0-9a-f]{24}"
# A drawer's folder below the cache's, how its names are made, and whether it makes room for others.
_DRAWERS = {
    "embeddings": ("", rf"{_KEY}\.sqlite", True),
    "networks": ("", rf"{_KEY}(\.onnx)?\.network", True),
    "facts": ("", rf"{_KEY}\.facts", True),
    "templates": ("templates", _KEY, True),
    "shards": ("shards", rf"{_KEY}\.parquet", True),
    "runtimes": ("", r"onnxruntime-web-\d+\.\d+\.\d+", False),
    "settings": ("", "keras-settings|matplotlib-settings", False),
}
_FOLDERS = ("templates", "runtimes", "settings")  # drawers that hold folders, not files


@dataclass(frozen=True)
class Cache:
    """A folder for what can be made again.

    Attributes:
        place: the folder; None for the one that the environment names whenever it is asked for.
    """

    place: Path | None = None

    @property
    def folder(self) -> Path | None:
        """Where it lies; None where there is no home to keep it in."""
        return self.place or folder()

    def drawer(self, name: str) -> Path | None:
        """The folder of a drawer, which may not exist yet."""
        return self.folder / _DRAWERS[name][0] if self.folder else None

    def items(self, name: str) -> list[Path]:
        """What of ours is in a drawer; a link leads elsewhere and is not ours."""
        place = self.drawer(name)
        found = place.iterdir() if place and place.is_dir() else ()
        named = (path for path in found if re.fullmatch(_DRAWERS[name][1], path.name))
        kind = Path.is_dir if name in _FOLDERS else Path.is_file
        return sorted(path for path in named if not path.is_symlink() and kind(path))

    def clear(self) -> int:
        """Remove all that is ours; how much there was."""
        paths = [path for name in _DRAWERS for path in self.items(name)]
        for path in paths:
            _remove(path)
        return len(paths)

    def trim(self, limit: int = LIMIT) -> None:
        """Remove what was not used for longest until the rest takes no more than a limit."""
        there = []
        for name in (name for name, (*_, goes) in _DRAWERS.items() if goes):
            with suppress(OSError):  # a cache that cannot be read serves nobody
                there += [(_used(path), path) for path in self.items(name)]
        total = 0
        for used, path in sorted(there, reverse=True):
            total += _size(path)
            if total > limit and used < time.time() - _DAY:
                with suppress(OSError):  # it stays, and the others go all the same
                    _remove(path)


USUAL = Cache()


def folder() -> Path | None:
    """Where caches lie: POCKETKNN_CACHE, or pocketknn in the user's cache folder; None without."""
    if named := os.environ.get("POCKETKNN_CACHE"):
        return Path(named)
    try:
        above = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # no home
        return None
    return Path(above) / "pocketknn"


def key_of(made_by: Sequence[object]) -> str:
    """The hash in a name, of all that decides what is kept under it."""
    import hashlib
    import json

    return hashlib.sha256(json.dumps(made_by).encode()).hexdigest()[:24]


def mark_used(path: Path) -> None:
    """Note that something of the cache was used just now."""
    with suppress(OSError):  # a cache that cannot be written serves all the same
        os.utime(path)


def write(path: Path, content: bytes) -> None:
    """Write a file of the cache, at once whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    from .atomic_file import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as made:
        made.write_bytes(content)


def _used(path: Path) -> float:
    """When something was used; long ago where another process has just removed it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    """Bytes of a file or of all in a folder, but for what another process has just removed."""
    total = 0
    for file in path.rglob("*") if path.is_dir() else (path,):
        with suppress(OSError):
            total += file.stat().st_size
    return total


def _remove(path: Path) -> None:
    if path.is_dir():
        import shutil

        shutil.rmtree(path)
    else:
        path.unlink()
