"""The folder of a build: it is complete or not there, and replaces nothing but a build."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.readers import is_within, read_file
from pocketknn.builder.system.atomic_file import NEW, replacing, workplace
from pocketknn.export.formats.files import format_of
from pocketknn.export.formats.table import FORMATS, SNIPPETS
from pocketknn.export.output.names import (
    GOLDEN,
    GOLDEN_NAMES,
    MODEL,
    OWN,
    REPORT,
    REPORT_TITLE,
    UNLISTED,
)
from pocketknn.export.output.names import SNIPPETS as FOLDER
from pocketknn.export.output.new_file import check_place

from .metadata import manifest_of

_FOLDERS: dict[str, Mapping[str, bool]] = {
    **{f"{MODEL}{one.SUFFIX}": one.PARTS for one in FORMATS.values() if one.PARTS},
    GOLDEN: dict.fromkeys(GOLDEN_NAMES, False),
    FOLDER: dict.fromkeys(SNIPPETS, False),
}
_DEEPEST = Path(max((f"{one}/{name}" for one in _FOLDERS for name in _FOLDERS[one]), key=len))
_BY_SYSTEMS = (".DS_Store", "Thumbs.db", "desktop.ini")  # and nobody misses them
_MOUNTS = Path("/proc/self/mountinfo")  # a mount a line, its place escaped in octal


def foreign(out: Path) -> str:
    """The name of something in a folder that no build wrote, or what else is wrong with it."""
    try:
        listed = set(manifest_of(out)["files"])
    except InputError:
        artefacts = {MODEL + target.SUFFIX for target in FORMATS.values()}
        odd = sorted({path.name for path in out.iterdir()} - OWN - artefacts)
        return repr(odd[0]) if odd else "no manifest of a build"
    ours = {name: name in _FOLDERS for name in listed | UNLISTED}
    for folder, names in _FOLDERS.items():
        ours |= {f"{folder}/{name}": is_folder for name, is_folder in names.items()}
    if (out / REPORT).is_file() and not _is_report(out / REPORT):
        return f"a {REPORT} that no build wrote"
    name = _other_than(ours, out)
    return name and repr(name)


def _is_report(path: Path) -> bool:
    """Whether a page is a report, which no manifest lists, as it is written anew."""
    try:
        return f"<title>{REPORT_TITLE}".encode() in read_file(path)
    except OSError:
        return False


def foreign_in_package(path: Path) -> str:
    """The name of something in a package that none of ours has; "" where there is none.

    Raises:
        InputError: it is none of our packages.
    """
    return _other_than(FORMATS[format_of(path)].PARTS, path)


def _other_than(ours: Mapping[str, bool], folder: Path) -> str:
    """The first name in a folder that is not among these, or a file where a folder should be."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if ours.get(name) is not path.is_dir() and not _is_by_a_system(path):
            return name
    return ""


def _is_by_a_system(path: Path) -> bool:
    """Whether a system or Python put a file there by itself, or a folder for such files."""
    if path.is_dir():
        return path.name == "__pycache__" and not path.is_symlink()
    return path.name in _BY_SYSTEMS or (path.suffix == ".pyc" and path.parent.name == "__pycache__")


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
            (work / NEW / _DEEPEST).mkdir(parents=True)
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
