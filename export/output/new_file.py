"""Write a new file, or replace one of ours, but never anything else."""

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

COLUMNS = ("id", "label", "path")  # first columns of our tables
PICTURES = (".png", ".svg")
DRAWN = b"pocketknn"  # named as the maker in each of our figures
_HEAD = 1 << 16
# How the files that we write begin. ml5 itself writes more about each class, and other people's
# tables may well begin with the same columns.
_STARTS = {
    ".json": rb'\{("dataset":\{"0":\{"shape":\[\d+,\d+\],"dtype":"float32","label":"'
    rb'|"pocketknn":\{"backbone":")',
    ".csv": ",".join(f'"{name}"' for name in COLUMNS).encode() + rb',(.*,)?"e0"[,\n]',
    ".png": rb"\x89PNG(?s:.*)tEXtSoftware\0" + DRAWN,
    ".svg": rb"<\?xml(?s:.*)<dc:creator>\s*<cc:Agent>\s*<dc:title>" + DRAWN + b"</dc:title>",
}


def check_new(out: Path, endings: Sequence[str], force: bool, inputs: Sequence[Path] = ()) -> None:
    """Check that a file may be written or replaced, before any work is done for it.

    Args:
        out: the file to write.
        endings: the suffixes it may have.
        force: whether an earlier file of the same kind may be replaced; nothing else ever is.
        inputs: the files that it is made from.

    Raises:
        InputError: `out` has another suffix, exists, or cannot be written.
    """
    if out.suffix.lower() not in endings:
        raise InputError(f"{out} must end in {' or '.join(endings)}", "wrong-suffix")
    if out.is_symlink():
        raise InputError(f"{out} is a link; name a new file", "out-is-link")
    if out.is_dir():
        raise InputError(f"{out} is a folder; name a file", "not-a-file")
    if out.exists() and not out.is_file():
        raise InputError(f"{out} is not a regular file; name another", "not-a-file")
    if out.exists():
        _check_replaceable(out, force, inputs)
    check_place(out)


def check_place(out: Path) -> None:
    """Check that a path can be written, before any work is done for it.

    Raises:
        InputError: its parent is not a folder, or cannot be written to.
    """
    above = existing(out)
    if not above.is_dir():
        raise InputError(f"{out} cannot be written: {above} is not a folder", "not-a-folder")
    if not os.access(above, os.W_OK):
        raise InputError(f"{out} cannot be written: no permission in {above}", "no-permission")


@contextmanager
def saved(out: Path, force: bool) -> Iterator[Path]:
    """A temporary file that becomes `out` if the block succeeds, or is removed.

    Raises:
        InputError: it cannot be written, or, without `force`, another file has appeared meanwhile.
    """
    try:
        with replacing(out) as made:
            yield made
            if out.exists() and not force:
                raise InputError(
                    f"{out} was created in the meantime; choose another name", "file-exists"
                )
            out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{out} cannot be written: {error.strerror or error}", "cannot-write"
        ) from error


def _check_replaceable(out: Path, force: bool, inputs: Sequence[Path]) -> None:
    if not force:
        read = any(one.exists() and one.samefile(out) for one in inputs)
        what = "is the input" if read else "exists"
        raise InputError(
            f"{out} {what}; choose another name, or replace it with --force", "file-exists"
        )
    if out.name in OWN and (out.parent / MANIFEST).is_file():
        raise InputError(
            f"{out} is part of a build, whose other files would no longer agree with it;"
            " name a new file",
            "part-of-build",
        )
    if not _is_ours(out):
        raise InputError(
            f"{out} was not written by pocketknn; --force replaces only files that were",
            "foreign-file",
        )


def _is_ours(out: Path) -> bool:
    start = _STARTS.get(out.suffix.lower())
    if start is None:
        return is_ours(out)
    with out.open("rb") as stream:
        return re.match(start, stream.read(_HEAD)) is not None
