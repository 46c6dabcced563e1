"""pocketknn web: run a build's ONNX file in the browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketknn import builder
from pocketknn.builder.wording import counted
from pocketknn.export.cli.console.quiet import note
from pocketknn.export.cli.console.text import say
from pocketknn.export.cli.inapplicable import refuse
from pocketknn.export.cli.options import parse_bytes
from pocketknn.export.cli.serving import (
    TAUGHT,
    Open,
    Port,
    Runtime,
    export_page,
    runtime_of,
    serve_page,
)
from pocketknn.export.report.wording import megabytes

if TYPE_CHECKING:
    from pocketknn.export.manifest.metadata import Metadata

_FOR_PHONES = (
    "Open this address on a phone on the same network. The certificate is self-signed,",
    "so the browser warns once: continue to the page. Anyone on this network can open the page.",
)


def web(
    context: typer.Context,
    out: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A folder written by build, or its .onnx file.")
    ],
    export: Annotated[
        Path | None,
        typer.Option(help="Only write the page to this new folder, for any static server."),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="The photos the model was built from, for thumbnails: a folder, table or archive."
        ),
    ] = None,
    thumbnails: Annotated[
        str, typer.Option(help="Maximum size of all thumbnails together, such as 16MB.")
    ] = "16MB",
    runtime: Runtime = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "pocketknn",
    host: Annotated[
        str,
        typer.Option(help="Bind address. Browsers allow the camera only on localhost or https."),
    ] = "127.0.0.1",
    port: Port = None,
    phone: Annotated[
        bool,
        typer.Option(
            "--phone",
            help="Serve over https to phones on this network, so that their camera works.",
        ),
    ] = False,
    open_: Open = False,
    teach: Annotated[
        bool,
        typer.Option(
            "--teach",
            help="Serve the page of pocketknn teach instead. It builds into ./taught; to build into"
            " another folder, use pocketknn teach MODEL -o OUT.",
        ),
    ] = False,
) -> None:
    """Serve a page that runs the ONNX file in the browser, on pictures or the camera.

    Examples:
        pocketknn web out --open
        pocketknn web out --photos photos --export page
        pocketknn web out --phone
    """
    if teach:
        given = ("photos", "thumbnails", "host", "phone")
        refuse(context, given, "does not apply to --teach")
    if export is not None:
        refuse(
            context, ("host", "port", "phone", "open_"), "is for serving the page, not for --export"
        )
    if photos is None:
        refuse(context, ("thumbnails",), "needs --photos")

    def write(folder: Path) -> None:
        _write(out, folder, photos, thumbnails, runtime, title)

    if teach:
        from pocketknn.export.cli.make.teach import Page

        page = Page(out=out, runtime=runtime, title=title)
        if export is not None:
            page.export(export)
        else:
            page.serve(TAUGHT, port, open_)
    elif export is not None:
        export_page(write, export, photos)
    else:
        if phone:
            refuse(
                context,
                ("host",),
                "does not apply to --phone, which serves on every address of this machine",
            )
        _serve(write, host, port, phone, open_)


def _serve(
    write: Callable[[Path], None], host: str, port: int | None, phone: bool, opened: bool
) -> None:
    """Serve the page until Ctrl-C."""
    import tempfile
    from contextlib import ExitStack

    from pocketknn.export.apps.web import certificate, server

    with ExitStack() as stack:
        made = [tempfile.TemporaryDirectory(prefix="pocketknn-") for _ in range(2)]
        folder, private = (Path(stack.enter_context(one)) for one in made)
        shown, secure = host, None
        if phone:
            shown, host = certificate.address(), "0.0.0.0"  # as it was asked to
            secure = certificate.certified(private, shown, "127.0.0.1")
        listening = stack.enter_context(server.listen(folder, host, port, secure))
        write(folder)
        name = f"[{shown}]" if ":" in shown else shown
        url = f"http{'s' if phone else ''}://{name}:{listening.server_address[1]}/"
        serve_page(listening, url, opened, *(_FOR_PHONES if phone else ()))


def _write(
    out: Path,
    folder: Path,
    photos: Path | None,
    thumbnails: str,
    unpacked: Path | None,
    title: str,
) -> None:
    from pocketknn.export.apps.web import page
    from pocketknn.export.output.names import THUMBNAILS

    limit = parse_bytes(thumbnails)
    model, metadata = page.model_of(out)
    found = [] if photos is None else builder.find(photos, note=note)
    runs = runtime_of(unpacked)
    small = _thumbnails(found, metadata, folder / THUMBNAILS, limit) if found else {}
    page.write(folder, model, metadata, runs, title=title, thumbnails=small)
    say(f"onnxruntime-web {runs.version} runs {model.name}")
    if not found:
        say("no thumbnails: to add them, give the photos of the build with --photos")


def _thumbnails(
    photos: Sequence[builder.Photo], metadata: Metadata, folder: Path, limit: int
) -> dict[int, str]:
    from pocketknn.export.apps import thumbnails
    from pocketknn.export.cli.console.terminal import progress

    rows = metadata.rows()
    with progress("thumbnails", len(photos)) as done:
        small = thumbnails.write(folder, rows, photos, limit, lambda: done(1))
    size = sum(path.stat().st_size for path in folder.iterdir())
    say(f"thumbnails of {len(small)} of {counted(len(rows), 'reference')}: {megabytes(size)}")
    return small
