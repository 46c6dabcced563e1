"""Files are written under a temporary name and renamed when all is well."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pocketknn.builder.errors import InputError

from .metadata import MANIFEST


def check_free(out: Path, force: bool) -> None:
    """Refuse a folder that exists, before any work is done for it.

    Args:
        out: the folder to be written.
        force: whether an earlier build may be replaced; never anything else.

    Raises:
        InputError: `out` exists, or its parent does not or cannot be written.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputError(f"{out} exists and is no folder")
    if out.exists() and any(out.iterdir()):
        if not force:
            raise InputError(f"{out} exists; choose another folder, or replace it with --force")
        if not (out / MANIFEST).is_file():
            raise InputError(f"{out} holds no earlier build; --force replaces nothing else")
    parent = out.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK):
        raise InputError(f"{out} cannot be written: no permission in {parent}")


@contextmanager
def staged(out: Path, force: bool) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends well, and else is removed."""
    check_free(out, force)
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from error
    try:
        yield staging
        staging.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        if out.exists():
            # The old build steps aside, so that there is no moment without either.
            old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
            out.rename(old / out.name)
            staging.rename(out)
            shutil.rmtree(old)
        else:
            staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
