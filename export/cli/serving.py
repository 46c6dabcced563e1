"""Code shared by the commands that serve a page, or write it for other servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketknn.builder.errors import InputError
from pocketknn.builder.wording import counted
from pocketknn.export.cli.console.text import say
from pocketknn.export.report.wording import megabytes

if TYPE_CHECKING:
    from http.server import HTTPServer

    from pocketknn.export.apps.web import runtime

TAUGHT = Path("taught")  # the folder for what the page that teaches builds
Runtime = Annotated[
    Path | None,
    typer.Option(help="An unpacked npm package of onnxruntime-web, if npm cannot fetch it."),
]
Port = Annotated[
    int | None, typer.Option(help="Port to serve on; default: the first free one from 8000.")
]
Open = Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")]


def runtime_of(unpacked: Path | None, *, webgpu: bool = False) -> runtime.Runtime:
    """The runtime for the browser: unpacked in a folder, or fetched once and cached."""
    from pocketknn.export.apps.web import runtime

    if unpacked is not None:
        return runtime.unpacked(unpacked)
    return runtime.remembered(webgpu=webgpu)


def export_page(write: Callable[[Path], None], folder: Path, photos: Path | None = None) -> None:
    """Write a page as a folder for any static server.

    Args:
        write: writes everything of the page into a folder.
        folder: the new folder.
        photos: the photos it shows; they must be elsewhere.

    Raises:
        InputError: the folder exists, or is among the photos.
    """
    from pocketknn.export.manifest.build_folder import check_apart, staged

    if folder.exists():
        raise InputError(f"{folder} exists; choose another folder", "folder-exists")
    if photos is not None:
        check_apart(folder, photos)
    with staged(folder, force=False) as staging:
        write(staging)
        sizes = [path.stat().st_size for path in staging.rglob("*") if path.is_file()]
    say(f"{folder}: {counted(len(sizes), 'file')}, {megabytes(sum(sizes))}")
    say("any static server can serve it; the camera needs https or localhost")


def serve_page(listening: HTTPServer, url: str, opened: bool, *remarks: str) -> None:
    """Answer requests until Ctrl-C.

    Args:
        listening: the server.
        url: the page's address.
        opened: whether to open it in the browser.
        remarks: further lines to print.
    """
    import webbrowser
    from contextlib import suppress

    say(f"serving on {url} until Ctrl-C", *remarks)
    if opened:
        webbrowser.open(url)
    with suppress(KeyboardInterrupt):
        listening.serve_forever()
    say("stopped")
