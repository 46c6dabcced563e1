"""pocketknn refs merge: references of several files in one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pocketknn.builder.errors import InputError

from .arguments import Force, New


def merge(
    files: Annotated[list[Path], typer.Argument(help="Two files of references or more.")],
    out: New,
    force: Force = False,
) -> None:
    """Put files of references together.

    A picture that is there already, in the same class, is not added again.
    """
    from pocketknn.export.output.atomic_file import check_new

    from .files import PARQUET, joined, located, opened, save_change

    if len(files) < 2:
        raise InputError("merge takes two files of references or more")
    check_new(out, [PARQUET], force, [located(file) for file in files])
    first = refs = opened(files[0])
    notes = []
    for file in files[1:]:
        more = opened(file)
        try:
            refs, again = joined(refs, more)
        except InputError as error:
            raise InputError(f"{files[0]} and {file} do not go together: {error}") from error
        if again:
            notes.append(f"{again} of {file} there already")
    save_change(first, refs, out, force, notes=notes)
