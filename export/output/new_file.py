"""A file of ours is written where none is, or in place of one of ours: never of anything else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.builder.references.files import is_ours
from pocketknn.builder.system.atomic_file import existing, replacing

from .names import MANIFEST, OWN

COLUMNS = ("id", "label", "path")  # that a table of ours begins with
PICTURES = (".png", ".svg")
DRAWN = b"pocketknn"  # what every figure of ours names as its maker
_HEAD = 1 << 16
# How the files that we write begin. ml5 itself writes more of each class, and others may
# well have tables whose columns begin as ours do.
_STARTS = {
    ".json": rb'\{"dataset":\{"0":\{"shape":\[\d+,\d+\],"dtype":"float32","label":"',
    ".csv": ",".join(f'"{name}"' for name in COLUMNS).encode() + rb',(.*,)?"e0"[,\n]',
    ".png": rb"\x89PNG(?s:.*)tEXtSoftware\0" + DRAWN,
    ".svg": rb"<\?xml(?s:.*)<dc:creator>\s*<cc:Agent>\s*<dc:title>" + DRAWN + b"</dc:title>",
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
    if out.exists() and not out.is_file():
        raise InputError(f"{out} is not a regular file; name another")
    if out.exists():
        _check_replaceable(out, force, inputs)
    check_place(out)


def check_place(out: Path) -> None:
    """Refuse a place where nothing can be written, before any work is done for it.

    Raises:
        InputError: there is no folder above, or no permission in it.
    """
    above = existing(out)
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
    try:
        with replacing(out) as made:
            yield made
            if out.exists() and not force:
                raise InputError(f"{out} exists by now; choose another name")
            out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}") from error


def _check_replaceable(out: Path, force: bool, inputs: Sequence[Path]) -> None:
    if not force:
        read = any(one.exists() and one.samefile(out) for one in inputs)
        what = "is the file that is read" if read else "exists"
        raise InputError(f"{out} {what}; choose another name, or replace it with --force")
    if out.name in OWN and (out.parent / MANIFEST).is_file():
        raise InputError(f"{out} is part of a build, which would no longer agree; name a new file")
    if not _is_ours(out):
        raise InputError(f"{out} was not written by pocketknn, and --force replaces nothing else")


def _is_ours(out: Path) -> bool:
    start = _STARTS.get(out.suffix.lower())
    if start is None:
        return is_ours(out)
    with out.open("rb") as stream:
        return re.match(start, stream.read(_HEAD)) is not None
