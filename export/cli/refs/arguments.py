"""Arguments and options shared by the commands of `pocketknn refs`."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated

import typer

from pocketknn import builder
from pocketknn.builder.errors import InputError
from pocketknn.export.cli.options import Exclude, NoCache, Occasions, Strict

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="References: a .parquet, an ml5 .json, or a folder written by build."
    ),
]
Places = Annotated[
    list[str],
    typer.Argument(
        metavar="PHOTOS",
        help="Folders with one folder of photos per class, addresses of such folders, .csv"
        " or .parquet tables, .zip or .tar archives, or pictures.",
    ),
]
New = Annotated[Path, typer.Option("-o", "--out", help="The .parquet file to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier file of references.")]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How photos become references."""

    label: Annotated[
        str | None, typer.Option(help="The class of photos that are in no class folder.")
    ] = None
    occasions: Occasions = None
    exclude: Exclude = None
    strict: Strict = False
    no_cache: NoCache = False


@dataclass(frozen=True, kw_only=True)
class Which:
    """A selection of references, by id, class or path pattern."""

    ids: Annotated[list[str] | None, typer.Option("--id", help="An id; may be repeated.")] = None
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="A class; may be repeated.")
    ] = None
    paths: Annotated[
        list[str] | None,
        typer.Option("--path", help="A path pattern, such as 'raw/*'; may be repeated."),
    ] = None

    def __bool__(self) -> bool:
        """Whether anything is selected."""
        return bool(self.ids or self.classes or self.paths)

    def ids_of(self, refs: builder.References) -> list[str]:
        """The ids that were named, and those of references whose path matches a pattern.

        Raises:
            InputError: a pattern matches no path.
        """
        found = list(self.ids or ())
        for pattern in self.paths or ():
            rows = [row for row, path in enumerate(refs.paths) if fnmatch(path, pattern)]
            if not rows:
                raise InputError(f"no reference has a path like {pattern!r}", "no-matching-path")
            found += [refs.ids[row] for row in rows]
        return found
