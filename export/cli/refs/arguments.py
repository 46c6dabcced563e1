"""Arguments and options that the commands of `pocketknn refs` share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pocketknn.export.cli.options import Exclude, NoCache, Strict

File = Annotated[
    Path, typer.Argument(help="References: a .parquet, an ml5 .json, or a folder that build wrote.")
]
Places = Annotated[
    list[Path],
    typer.Argument(
        help="Folders with one folder of photos per class, .csv or .parquet tables, .zip or .tar"
        " archives, or pictures."
    ),
]
New = Annotated[Path, typer.Option("-o", "--out", help="The .parquet file to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier file of references.")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="An id; may be repeated.")]
Classes = Annotated[list[str] | None, typer.Option("--class", help="A class; may be repeated.")]
Paths = Annotated[
    list[str] | None,
    typer.Option("--path", help="A pattern of paths, such as 'raw/*'; may be repeated."),
]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How photos become references."""

    label: Annotated[
        str | None, typer.Option(help="The class of photos that lie in no class folder.")
    ] = None
    exclude: Exclude = None
    strict: Strict = False
    no_cache: NoCache = False
