"""Files are written under a temporary name and renamed when all is well."""

from __future__ import annotations

import glob
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.readers import is_within
from pocketknn.export.apps.snippets import write
from pocketknn.export.formats.table import FORMATS
from pocketknn.export.manifest.metadata import manifest_of
from pocketknn.export.output.names import (
    GOLDEN,
    LABELS,
    MANIFEST,
    MODEL,
    PARITY,
    REFERENCES,
    REPORT,
    SNIPPETS,
    TABLE,
)
from pocketknn.export.parity import golden

from .lock import hold
from .swap import put, undisturbed

_MOUNTS = Path("/proc/self/mountinfo")  # a mount a line, its place escaped in octal
_PACKAGE = f"{MODEL}{FORMATS['coreml'].SUFFIX}"
_CORE_ML = "Data/com.apple.CoreML"
_PACKAGED = {  # what a package holds, and whether that is a folder
    "Manifest.json": False,
    "Data": True,
    _CORE_ML: True,
    f"{_CORE_ML}/model.mlmodel": False,
    f"{_CORE_ML}/weights": True,
    f"{_CORE_ML}/weights/weight.bin": False,
}
_DEEPEST = Path(_PACKAGE, *max(_PACKAGED, key=len).split("/"))
_OF_BUILDS = {GOLDEN, LABELS, MANIFEST, PARITY, REFERENCES, REPORT, SNIPPETS, TABLE}
_OF_BUILDS |= {MODEL + target.SUFFIX for target in FORMATS.values()}
_SUFFIX, _OLD, NEW, _LOCK = ".partial", "old", "new", "lock"
_MARK = b"held while pocketknn writes\n"
_BY_SYSTEMS = (".DS_Store", "Thumbs.db", "desktop.ini")  # and nobody misses them


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
        if foreign := _foreign(out):
            raise InputError(f"{out} holds {foreign}, and --force replaces only what build wrote")
    above = existing(out)
    if not above.is_dir():
        raise InputError(f"{out} cannot be written: {above} is no folder")
    if not os.access(above, os.W_OK):
        raise InputError(f"{out} cannot be written: no permission in {above}")
    with workplace(out) as work:  # finds out what else a system may have against it
        try:
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
    with workplace(out) as work:
        staging = work / NEW
        staging.mkdir()
        yield staging
        check_free(out, force)  # another build may have come first
        out.parent.mkdir(parents=True, exist_ok=True)
        put(staging, out, work / _OLD)


@contextmanager
def workplace(out: Path) -> Iterator[Path]:
    """A hidden folder near `out`, of this process alone, that goes when the block ends.

    What killed processes left there goes as well, and what one had set aside is given back.

    Raises:
        InputError: there can be none.
    """
    out = out.absolute()
    recover(out)
    work = existing(out) / f".{out.name}.{uuid.uuid4().hex[:8]}{_SUFFIX}"
    with ExitStack() as stack:
        stack.callback(_clear, work)
        try:
            work.mkdir()
            lock = stack.enter_context((work / _LOCK).open("wb"))
            hold(lock)
            lock.write(_MARK)  # from now on others may sweep the folder, once nobody holds it
            lock.flush()
        except OSError as error:
            raise InputError(f"{out} cannot be written: {error.strerror}") from error
        yield work


def recover(out: Path) -> None:
    """Remove what killed processes left, and give back what one of them had set aside."""
    out = out.absolute()
    for work in existing(out).glob(f".{glob.escape(out.name)}.*{_SUFFIX}"):
        with suppress(OSError):
            if not _is_ours(work, out):
                continue
            with (work / _LOCK).open("rb") as lock:
                if not hold(lock):  # the build is alive
                    continue
                if (work / _OLD).exists() and not out.exists():
                    (work / _OLD).rename(out)
                _clear(work)
            _clear(work)  # the lock too, which Windows keeps while it is open


def _is_ours(work: Path, out: Path) -> bool:
    """Whether a folder is a workplace for `out`: by its name, and by what its lock says."""
    middle = work.name.removeprefix(f".{out.name}.").removesuffix(_SUFFIX)
    lock = work / _LOCK
    if not re.fullmatch("[0-9a-f]{8}", middle) or work.is_symlink() or lock.is_symlink():
        return False
    return lock.is_file() and lock.stat().st_size == len(_MARK) and lock.read_bytes() == _MARK


def _clear(work: Path) -> None:
    """Remove a workplace, all of it, whoever asks to end meanwhile."""
    with undisturbed():
        shutil.rmtree(work, ignore_errors=True)


def _foreign(out: Path) -> str:
    """The name of something in a folder that no build wrote, or what else is wrong with it."""
    try:
        listed = set(manifest_of(out)["files"])
    except InputError:
        odd = sorted({path.name for path in out.iterdir()} - _OF_BUILDS)
        return repr(odd[0]) if odd else "no manifest of a build"
    ours = listed | {MANIFEST, PARITY, REPORT}
    ours |= {f"{SNIPPETS}/{name}" for name in write.SNIPPETS}
    ours |= {f"{GOLDEN}/{name}" for name in golden.NAMES}
    folders = {SNIPPETS, GOLDEN, _PACKAGE}
    if (out / _PACKAGE).is_dir() and (name := foreign_in_package(out / _PACKAGE)):
        return repr(f"{_PACKAGE}/{name}")
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        parts = path.relative_to(out).parts
        if _is_by_a_system(path) or (parts[0] == _PACKAGE and len(parts) > 1):
            continue
        if name not in ours or path.is_dir() != (name in folders):
            return repr(name)
    return ""


def foreign_in_package(path: Path) -> str:
    """The name of something in a Core ML package that none of ours has; "" where there is none."""
    for one in sorted(path.rglob("*")):
        name = one.relative_to(path).as_posix()
        if _PACKAGED.get(name) is not one.is_dir() and not _is_by_a_system(one):
            return name
    return ""


def _is_by_a_system(path: Path) -> bool:
    """Whether a system or Python put a file there by itself, or a folder for such files."""
    if path.is_dir():
        return path.name == "__pycache__" and not path.is_symlink()
    return path.name in _BY_SYSTEMS or (path.suffix == ".pyc" and path.parent.name == "__pycache__")


def _is_mount_point(out: Path) -> bool:
    """Whether a disk is mounted there or below, also a part of the same one."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:  # not Linux
        return os.path.ismount(out)
    points = (line.split()[4].decode("unicode_escape").encode("latin-1") for line in lines)
    here = os.fsencode(out.resolve())
    return any(point == here or point.startswith(here + b"/") for point in points)


def existing(out: Path) -> Path:
    """The nearest folder above `out` that exists."""
    above = out.absolute().parent
    while not above.exists():
        above = above.parent
    return above
