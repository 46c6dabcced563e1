"""The command line of `pocketknn web`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def web(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="A folder that build wrote, or its .onnx file.")],
    export: Annotated[
        Path | None,
        typer.Option(help="Write the page to this new folder, for any static server, and end."),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="The photos it was built from, for thumbnails: a folder, table, archive."
        ),
    ] = None,
    thumbnails: Annotated[
        str, typer.Option(help="Bytes that all thumbnails may take, such as 16MB.")
    ] = "16MB",
    runtime: Annotated[
        Path | None,
        typer.Option(help="An unpacked npm package of onnxruntime-web, where npm cannot fetch it."),
    ] = None,
    title: Annotated[str, typer.Option(help="What the page is called.")] = "pocketknn",
    host: Annotated[
        str, typer.Option(help="Address to serve on; others than this machine's own see no camera.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Port to serve on; the first that is free from 8000 on.")
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open/--no-open", help="Show the page in the browser.")
    ] = False,
) -> None:
    """Serve a page that runs the ONNX file in the browser: on a picture, or the camera."""
    from pocketknn.export.cli.inapplicable import refuse

    from .web import Choices, export_page, serve_page

    if export is not None:
        refuse(context, ("host", "port", "open_"), "is for serving the page, not for --export")
    if photos is None:
        refuse(context, ("thumbnails",), "goes with --photos")
    choices = Choices(photos=photos, thumbnails=thumbnails, runtime=runtime, title=title)
    if export is not None:
        export_page(out, choices, export)
    else:
        serve_page(out, choices, host, port, open_)
