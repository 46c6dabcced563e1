"""The folder of a build: it is complete or not there, and replaces nothing but a build."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.readers import is_within
from pocketknn.builder.system.atomic_file import NEW, replacing, workplace
from pocketknn.export.output.atomic_file import check_place

from .owned import DEEPEST, foreign

_MOUNTS = Path("/proc/self/mountinfo")  # a mount a line, its place escaped in octal


def check_free(out: Path, force: bool) -> None:
    """Refuse a folder that exists, before any work is done for it.

    Args:
        out: the folder to be written.
        force: whether an earlier build may be replaced; never anything else.

    Raises:
        InputError: `out` exists, or cannot be written.
    """
    if out.is_symlink():
        raise InputError(f"{out} is a link; name a new folder")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} exists and is no folder")
    if _is_mount_point(out):
        raise InputError(f"{out} is or holds a mount point, which cannot be replaced; name another")
    if out.exists() and any(out.iterdir()):
        if not force:
            raise InputError(f"{out} exists; choose another folder, or replace it with --force")
        if strange := foreign(out):
            raise InputError(f"{out} holds {strange}, and --force replaces only what build wrote")
    check_place(out)
    try:  # finds out what else a system may have against it
        with workplace(out) as work:
            (work / NEW / DEEPEST).mkdir(parents=True)
    except OSError as error:  # a path that is too long, on Windows from 260 characters on
        raise InputError(f"{out} cannot be written: {error.strerror}") from error


def check_apart(out: Path, photos: Path | str) -> None:
    """Refuse an `out` that would lie among the photos, or replace them.

    Args:
        out: the folder to be written.
        photos: where they lie; an address, which is text, is elsewhere.

    Raises:
        InputError: one of the two is the other, or lies inside it.
    """
    if isinstance(photos, str):
        return
    if photos.exists() and (is_within(out, photos) or (out.exists() and is_within(photos, out))):
        raise InputError(f"{out} and the photos in {photos} must not lie in one another")


@contextmanager
def staged(out: Path, force: bool) -> Iterator[Path]:
    """A folder near `out` that takes its place when the block ends well, and else is removed."""
    check_free(out, force)
    with replacing(out) as staging:
        staging.mkdir()
        yield staging
        check_free(out, force)  # another build may have come first
        out.parent.mkdir(parents=True, exist_ok=True)


def _is_mount_point(out: Path) -> bool:
    """Whether a disk is mounted there or below, also a part of the same one."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:  # not Linux
        return os.path.ismount(out)
    points = (line.split()[4].decode("unicode_escape").encode("latin-1") for line in lines)
    here = os.fsencode(out.resolve())
    return any(point == here or point.startswith(here + b"/") for point in points)
