"""A single file is written under a temporary name and renamed when it is whole."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pocketknn.builder.collection import is_collection
from pocketknn.builder.errors import InputError
from pocketknn.builder.references import References

from .metadata import LABELS, MANIFEST, PARITY, REFERENCES, TABLE

COLUMNS = ("id", "label", "path")  # that a table of ours begins with
PICTURES = (".png", ".svg")
DRAWN = b"pocketknn"  # what the first bytes of every figure of ours name as its maker
_HEAD = 4096
# How the texts that we write begin.
_STARTS = {
    ".json": b'{"dataset":{',
    ".csv": ",".join(f'"{name}"' for name in COLUMNS).encode(),
}


def check_new(out: Path, endings: Sequence[str], force: bool, inputs: Sequence[Path] = ()) -> None:
    """Refuse a file that must not or cannot be written, before any work is done for it.

    Args:
        out: the file to be written.
        endings: what its name may end in.
        force: whether an earlier file of the same kind may be replaced; never anything else.
        inputs: the files that it is made from.

    Raises:
        InputError: another ending, `out` exists, or it cannot be written.
    """
    if out.suffix.lower() not in endings:
        raise InputError(f"{out} must end in {' or '.join(endings)}")
    if out.is_symlink():
        raise InputError(f"{out} is a link; name a new file")
    if out.is_dir():
        raise InputError(f"{out} is a folder; name a file")
    if out.exists():
        _check_replaceable(out, force, inputs)
    above = _existing(out)
    if not above.is_dir():
        raise InputError(f"{out} cannot be written: {above} is no folder")
    if not os.access(above, os.W_OK):
        raise InputError(f"{out} cannot be written: no permission in {above}")


@contextmanager
def saved(out: Path, force: bool) -> Iterator[Path]:
    """A place for a file that becomes `out` when the block ends well, and else is removed.

    Raises:
        InputError: it cannot be written, or without `force` another came first.
    """
    work = _existing(out) / f".{out.name}.{uuid.uuid4().hex[:8]}.partial"
    try:
        work.mkdir()
        yield work / out.name
        if out.exists() and not force:
            raise InputError(f"{out} exists by now; choose another name")
        out.parent.mkdir(parents=True, exist_ok=True)
        (work / out.name).replace(out)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _check_replaceable(out: Path, force: bool, inputs: Sequence[Path]) -> None:
    if not force:
        read = any(one.exists() and one.samefile(out) for one in inputs)
        what = "is the file that is read" if read else "exists"
        raise InputError(f"{out} {what}; choose another name, or replace it with --force")
    of_a_build = (LABELS, MANIFEST, PARITY, REFERENCES, TABLE)
    if out.name in of_a_build and (out.parent / MANIFEST).is_file():
        raise InputError(f"{out} is part of a build, which would no longer agree; name a new file")
    if not _is_ours(out):
        what = "is no figure of pocketknn's" if _is_picture(out) else "holds no references"
        raise InputError(f"{out} {what}, and --force replaces nothing else")


def _is_picture(out: Path) -> bool:
    return out.suffix.lower() in PICTURES


def _is_ours(out: Path) -> bool:
    if _is_picture(out):
        with out.open("rb") as stream:
            return DRAWN in stream.read(_HEAD)
    start = _STARTS.get(out.suffix.lower())
    if start is None:
        return is_collection(out) and References.wrote(out)
    with out.open("rb") as stream:
        return stream.read(len(start)) == start


def _existing(out: Path) -> Path:
    """The nearest folder above `out` that exists."""
    return next(above for above in out.absolute().parents if above.exists())
