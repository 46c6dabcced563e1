"""Remember where weights files are on this machine, so that later commands need no `--weights`.

These paths are stored only in the cache, never in a build.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pocketknn.builder.system.cache import Cache, key_of, mark_used, write


def remember(sha256: str, path: Path, cache: Cache | None) -> None:
    """Store where weights were loaded from.

    Args:
        sha256: hash of the weights by value, as in `Facts`.
        path: the file.
        cache: stores the path; None for no cache.
    """
    if (place := _place(sha256, cache)) is not None:
        with suppress(OSError):  # a path that cannot be stored must be given again
            write(place, bytes(path.absolute()))


def remembered(sha256: str, cache: Cache | None) -> Path | None:
    """The file that weights were last loaded from, if it still exists.

    The file may have changed since, so the caller must compare its hash.
    """
    if (place := _place(sha256, cache)) is None:
        return None
    try:
        path = Path(place.read_bytes().decode())
        mark_used(place)
        return path if path.is_file() else None
    except (OSError, ValueError):  # not stored, or damaged
        return None


def _place(sha256: str, cache: Cache | None) -> Path | None:
    drawer = cache.drawer("places") if cache else None
    return drawer / f"{key_of([sha256])}.place" if drawer else None
