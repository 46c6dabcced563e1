"""pocketknn teach: teach a model by camera in the browser, and build its files here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketknn import builder
from pocketknn.builder.wording import counted
from pocketknn.export.cli import options
from pocketknn.export.cli.console.text import say
from pocketknn.export.cli.inapplicable import refuse
from pocketknn.export.cli.serving import (
    TAUGHT,
    Open,
    Port,
    Runtime,
    export_page,
    runtime_of,
    serve_page,
)

if TYPE_CHECKING:
    from pocketknn.export.apps.teach.embedder import Embedder

_AUTO, _SMALL = "auto", "bundled"


def teach(
    context: typer.Context,
    start: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT", help="A build's folder to continue from; default: start empty."
        ),
    ] = None,
    *,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="Folder for the builds; it may already exist."),
    ] = TAUGHT,
    backbone: Annotated[
        str,
        typer.Option(
            help="As for build; auto adds bundled, for machines that are too slow for the default."
        ),
    ] = _AUTO,
    size: Annotated[
        int | None, typer.Option(help="Side of the model's square input, in pixels.")
    ] = None,
    crop: options.Crop = "center",
    export: Annotated[
        Path | None,
        typer.Option(
            help="Only write the page to this new folder, for any static server, without building."
        ),
    ] = None,
    runtime: Runtime = None,
    port: Port = None,
    open_: Open = False,
) -> None:
    """Serve a page that learns from a camera or photos, answers at once, and builds all files.

    The examples stay in the browser until you build, download or clear them.

    Examples:
        pocketknn teach --open
        pocketknn teach out -o better
        pocketknn teach --export page
    """
    if start is not None:
        refuse(context, ("backbone", "size", "crop"), f"cannot be changed: {start} determines it")
    if export is not None:
        refuse(context, ("out", "port", "open_"), "is for serving the page, not for --export")
    page = Page(out=start, runtime=runtime, backbone=backbone, size=size, crop=crop)
    if export is not None:
        page.export(export)
    else:
        page.serve(out, port, open_)


@dataclass(frozen=True, kw_only=True)
class Page:
    """The teaching page.

    Attributes:
        out: the build that it continues; None to start empty.
        runtime: an unpacked runtime for the browser; None to fetch it.
        title: title of the page.
        backbone: name of the backbone; used, like `size` and `crop`, only if `out` is None.
    """

    out: Path | None
    runtime: Path | None
    title: str = "pocketknn"
    backbone: str = _AUTO
    size: int | None = None
    crop: str = "center"

    def export(self, folder: Path) -> None:
        """Write the page as a folder for any static server."""
        references = self._references()
        models = self._models(references)
        export_page(lambda place: self._write(place, models, references, served=False), folder)

    def serve(self, out: Path, port: int | None, opened: bool) -> None:
        """Serve the page until Ctrl-C.

        Args:
            out: the folder for the build.
            port: the port; None for the first free one.
            opened: whether to open it in the browser.
        """
        import secrets
        import tempfile
        from contextlib import ExitStack, closing

        from pocketknn.export.apps.teach import server
        from pocketknn.export.apps.teach.building import Builds
        from pocketknn.export.formats.files import check_formats, writable
        from pocketknn.export.output.new_file import check_place

        check_place(out / "model")
        check_formats(writable())
        say("preparing the network, which takes a minute the first time …")
        references = self._references()
        models = self._models(references)
        with ExitStack() as stack:
            made = [tempfile.TemporaryDirectory(prefix="pocketknn-") for _ in range(2)]
            folder, work = (Path(stack.enter_context(one)) for one in made)
            named = {one.backbone.name: one for one in models}
            builds = stack.enter_context(closing(Builds(out, named, work)))
            token = secrets.token_urlsafe(16)
            listening = stack.enter_context(server.listen(folder, builds, token, port))
            self._write(folder, models, references, served=True)
            url = f"http://{server.HOST}:{listening.server_address[1]}/{token}/"
            serve_page(listening, url, opened, f"builds are written into {builds.folder}")

    def _references(self) -> builder.References | None:
        """The references that the page starts from."""
        from pocketknn.export.apps.teach import page
        from pocketknn.export.cli.refs.files import opened

        if self.out is None:
            return None
        found = opened(self.out)
        page.check(found)
        return found

    def _models(self, references: builder.References | None) -> list[Embedder]:
        """The backbones in the order of preference."""
        from pocketknn.export.apps.teach.embedder import Embedder

        if references is not None:
            return [Embedder.of(references)]
        spec = builder.Spec(backbone=self.backbone, size=self.size, crop=self.crop)
        found = [Embedder.named(spec)]
        if self.backbone == _AUTO and found[0].backbone.name != _SMALL:
            found.append(Embedder.named(builder.Spec(backbone=_SMALL, crop=self.crop)))
        return found

    def _write(
        self,
        folder: Path,
        models: Sequence[Embedder],
        references: builder.References | None,
        *,
        served: bool,
    ) -> None:
        from pocketknn.export.apps.teach import page

        runs = runtime_of(self.runtime, webgpu=True)
        page.write(folder, models, runs, title=self.title, served=served, examples=references)
        say(f"onnxruntime-web {runs.version} runs {' or '.join(o.backbone.name for o in models)}")
        if references is not None:
            say(f"the page starts with {counted(len(references), 'reference')} of {self.out}")
