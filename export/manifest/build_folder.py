"""The folder of a build: written completely or not at all, replacing only an earlier build."""

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
    THUMBNAILS,
    UNLISTED,
    thumbnail_of,
)
from pocketknn.export.output.names import SNIPPETS as FOLDER
from pocketknn.export.output.new_file import check_place

from .metadata import manifest_of

_FOLDERS: dict[str, Mapping[str, bool]] = {
    **{f"{MODEL}{one.SUFFIX}": one.PARTS for one in FORMATS.values() if one.PARTS},
    GOLDEN: dict.fromkeys(GOLDEN_NAMES, False),
    FOLDER: dict.fromkeys(SNIPPETS, False),
    THUMBNAILS: {},  # a file for each reference
}
_DEEPEST = Path(max((f"{one}/{name}" for one in _FOLDERS for name in _FOLDERS[one]), key=len))
_BY_SYSTEMS = (".DS_Store", "Thumbs.db", "desktop.ini")  # safe to delete
_MOUNTS = Path("/proc/self/mountinfo")  # one mount per line, its path escaped in octal


def foreign(out: Path) -> str:
    """The name of something in a folder that no build wrote, or another problem; "" if none."""
    try:
        manifest = manifest_of(out)
    except InputError:
        artefacts = {MODEL + target.SUFFIX for target in FORMATS.values()}
        odd = sorted({path.name for path in out.iterdir()} - OWN - artefacts)
        return repr(odd[0]) if odd else "no manifest of a build"
    ours = {name: name in _FOLDERS for name in {*manifest["files"], *UNLISTED}}
    ours |= dict.fromkeys(_thumbnails(out, manifest["references"]["count"]), False)
    for folder, names in _FOLDERS.items():
        ours |= {f"{folder}/{name}": is_folder for name, is_folder in names.items()}
    if (out / REPORT).is_file() and not _is_report(out / REPORT):
        return f"a {REPORT} that no build wrote"
    name = _other_than(ours, out)
    return name and repr(name)


def _thumbnails(out: Path, count: int) -> Iterator[str]:
    """The thumbnails in a build's folder, for this many references."""
    for path in (out / THUMBNAILS).glob(thumbnail_of("*")):
        if path.stem.isdecimal() and int(path.stem) < count:
            yield f"{THUMBNAILS}/{path.name}"


def _is_report(path: Path) -> bool:
    """Whether a page is a report; manifests do not list reports, as they are rewritten later."""
    try:
        return f"<title>{REPORT_TITLE}".encode() in read_file(path)
    except OSError:
        return False


def foreign_in_package(path: Path) -> str:
    """The name of something in a package that ours do not contain; "" if there is none.

    Raises:
        InputError: it is not one of our packages.
    """
    return _other_than(FORMATS[format_of(path)].PARTS, path)


def _other_than(ours: Mapping[str, bool], folder: Path) -> str:
    """The first name in a folder that is not ours, or is a file instead of a folder or vice versa.

    Args:
        ours: the names, and whether each is a folder.
        folder: the folder.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if ours.get(name) is not path.is_dir() and not _is_by_a_system(path):
            return name
    return ""


def _is_by_a_system(path: Path) -> bool:
    """Whether an operating system or Python created this file or folder on its own."""
    if path.is_dir():
        return path.name == "__pycache__" and not path.is_symlink()
    return path.name in _BY_SYSTEMS or (path.suffix == ".pyc" and path.parent.name == "__pycache__")


def check_free(out: Path, force: bool) -> None:
    """Check that a folder can be written, before any work is done for it.

    Args:
        out: the folder to write.
        force: whether an earlier build may be replaced; nothing else ever is.

    Raises:
        InputError: `out` exists, or cannot be written.
    """
    if out.is_symlink():
        raise InputError(f"{out} is a link; name a new folder", "out-is-link")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} exists and is not a folder", "not-a-folder")
    if _is_mount_point(out):
        raise InputError(
            f"{out} is or holds a mount point, which cannot be replaced; name another folder",
            "out-is-mount",
        )
    if out.exists() and any(out.iterdir()):
        if not force:
            raise InputError(
                f"{out} exists; choose another folder, or replace it with --force", "folder-exists"
            )
        if strange := foreign(out):
            raise InputError(
                f"{out} holds {strange}, and --force replaces only what build wrote", "foreign-file"
            )
    check_place(out)
    try:  # finds out whether the system objects for any other reason
        with workplace(out) as work:
            (work / NEW / _DEEPEST).mkdir(parents=True)
    except OSError as error:  # such as a path that is too long: on Windows 260 characters
        raise InputError(f"{out} cannot be written: {error.strerror}", "cannot-write") from error


def check_apart(out: Path, photos: Path | str) -> None:
    """Check that `out` is not among the photos and does not replace them.

    Args:
        out: the folder to write.
        photos: their folder; a string is an address, which is always elsewhere.

    Raises:
        InputError: they are the same, or one is inside the other.
    """
    if isinstance(photos, str):
        return
    if photos.exists() and (is_within(out, photos) or (out.exists() and is_within(photos, out))):
        raise InputError(
            f"{out} and the photos in {photos} must not be inside each other", "out-among-photos"
        )


@contextmanager
def staged(out: Path, force: bool) -> Iterator[Path]:
    """A temporary folder beside `out` that replaces it if the block succeeds, or is removed."""
    check_free(out, force)
    with replacing(out) as staging:
        staging.mkdir()
        yield staging
        check_free(out, force)  # another build may have finished first
        out.parent.mkdir(parents=True, exist_ok=True)


def _is_mount_point(out: Path) -> bool:
    """Whether anything is mounted at or below a folder, even part of the same disk."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:  # not Linux
        return os.path.ismount(out)
    points = (line.split()[4].decode("unicode_escape").encode("latin-1") for line in lines)
    here = os.fsencode(out.resolve())
    return any(point == here or point.startswith(here + b"/") for point in points)
