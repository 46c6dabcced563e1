"""pocketknn cache: show or clear what earlier builds cached."""

from __future__ import annotations

from typing import Annotated

import typer

from pocketknn.builder.errors import InputError
from pocketknn.builder.system.cache import USUAL, size_of
from pocketknn.builder.wording import counted
from pocketknn.export.cli.console.text import say
from pocketknn.export.report.wording import megabytes

_DRAWERS = {
    "networks": "a backbone for LiteRT",
    "templates": "a converted graph, to be filled with references",
    "runtimes": "runs the pages of pocketknn web and teach",
    "settings": "a library's own settings",
}


def cache(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="show or clear.")] = "show",
) -> None:
    """Show or clear the embeddings that earlier builds have cached.

    Examples:
        pocketknn cache show
        pocketknn cache clear
    """
    if action == "show":
        _show()
    elif action == "clear":
        say(f"{counted(USUAL.clear(), 'cache')} removed from {USUAL.folder}")
    else:
        raise InputError(f"unknown action {action!r}; choose from show, clear", "unknown-action")


def _show() -> None:
    from pocketknn.builder.embedding.cache import count

    known = USUAL.items("embeddings")
    items = USUAL.everything()
    total = f"{counted(len(items), 'cache')}, {megabytes(sum(map(size_of, items)))} in all"
    say(f"{USUAL.folder or 'no cache folder'}: {total}")
    for path in known:
        say(f"  {path.stem}: {counted(count(path), 'picture')}, {megabytes(size_of(path))}")
    for drawer, what in _DRAWERS.items():
        for path in USUAL.items(drawer):
            say(f"  {path.name.removesuffix('.network')}: {what}, {megabytes(size_of(path))}")
    if parts := USUAL.items("shards"):
        taken = megabytes(sum(map(size_of, parts)))
        say(f"  shards: {counted(len(parts), 'part')} from --engine ray, {taken}")
