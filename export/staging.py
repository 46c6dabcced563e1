"""Files are written under a temporary name and renamed when all is well."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.builder.texts import parse_json

from .artefact import FORMATS
from .metadata import (
    GOLDEN,
    LABELS,
    MANIFEST,
    MODEL,
    PARITY,
    REFERENCES,
    REPORT,
    SCHEMA,
    SNIPPETS,
    TABLE,
)
from .options import OUTPUTS

_SUFFIX = ".partial"


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
    if out.exists() and any(out.iterdir()):
        if not force:
            raise InputError(f"{out} exists; choose another folder, or replace it with --force")
        if foreign := _foreign(out):
            raise InputError(f"{out} holds {foreign}, and --force replaces only what build wrote")
    above = _existing(out)
    if not above.is_dir():
        raise InputError(f"{out} cannot be written: {above} is no folder")
    if not os.access(above, os.W_OK):
        raise InputError(f"{out} cannot be written: no permission in {above}")


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
    here, there = out.resolve(), photos.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise InputError(f"{out} and the photos in {photos} must not lie in one another")


@contextmanager
def staged(out: Path, force: bool) -> Iterator[Path]:
    """A folder near `out` that takes its place when the block ends well, and else is removed."""
    out = out.absolute()
    above = _existing(out)
    _sweep(out, above)
    check_free(out, force)
    made = above / f".{out.name}.{uuid.uuid4().hex[:8]}"
    work = made.with_name(made.name + _SUFFIX)
    staging, old = work / "new", work / "old"
    with ExitStack() as stack:
        for folder in (work, made):
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            made.mkdir()
            lock = stack.enter_context((made / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Named so only once it is locked, or another build might sweep it away.
            made.rename(work)
            staging.mkdir()
        except OSError as error:
            raise InputError(f"{out} cannot be written: {error.strerror}") from error
        yield staging
        check_free(out, force)  # another build may have come first
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists():
            out.rename(old)
        try:
            staging.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise


def _sweep(out: Path, above: Path) -> None:
    """Remove what killed builds left, and give back a build that one of them had set aside."""
    for work in above.glob(f".{glob.escape(out.name)}.*{_SUFFIX}"):
        with suppress(OSError), (work / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where the build is alive
            if (work / "old").exists() and not out.exists():
                (work / "old").rename(out)
            shutil.rmtree(work)


def _foreign(out: Path) -> str:
    """The name of something in a folder that no build wrote, or what else is wrong with it."""
    ours = {GOLDEN, LABELS, MANIFEST, PARITY, REFERENCES, REPORT, SNIPPETS, TABLE}
    ours |= {MODEL + target.SUFFIX for target in FORMATS.values()}
    ours |= {f"{MODEL}-{what}.tflite" for what in OUTPUTS}
    others = sorted({path.name for path in out.iterdir()} - ours)
    if others:
        return repr(others[0])
    try:
        schema = parse_json((out / MANIFEST).read_text("utf-8"))["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        return "no manifest of a build"
    return "" if schema == SCHEMA else f"a manifest of schema {schema!r}"


def _existing(out: Path) -> Path:
    """The nearest folder above `out` that exists."""
    above = out.absolute().parent
    while not above.exists():
        above = above.parent
    return above
