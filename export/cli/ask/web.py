"""pocketknn web: a page that runs a build's ONNX file in the browser."""

from __future__ import annotations

import tempfile
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.decode import Photo
from pocketknn.builder.photos.find import find
from pocketknn.export.apps.web import page, runtime, server, thumbnails
from pocketknn.export.cli.console.progress import progress
from pocketknn.export.cli.console.quiet import say
from pocketknn.export.cli.console.tables import megabytes
from pocketknn.export.cli.console.terminal import console
from pocketknn.export.manifest.build_folder import check_apart, staged
from pocketknn.export.manifest.metadata import Metadata
from pocketknn.export.sizes.budget import parse_bytes


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What goes into the page.

    Attributes:
        photos: of the build, for the thumbnails; None for none.
        thumbnails: bytes that these may take, in words.
        runtime: an unpacked npm package of onnxruntime-web; None for the pinned one.
        title: what the page is called.
    """

    photos: Path | None
    thumbnails: str
    runtime: Path | None
    title: str


def export_page(out: Path, choices: Choices, folder: Path) -> None:
    """Write the page as a folder for any static server.

    Raises:
        InputError: `folder` exists, or the page cannot be made.
    """
    if folder.exists():
        raise InputError(f"{folder} exists; choose another folder")
    if choices.photos is not None:
        check_apart(folder, choices.photos)
    with staged(folder, force=False) as staging:
        _write(out, choices, staging)
        sizes = [path.stat().st_size for path in staging.rglob("*") if path.is_file()]
    console.print(f"{folder}: {len(sizes)} files, {megabytes(sum(sizes))}", markup=False)
    console.print("any static server shows it; the camera needs https or localhost")


def serve_page(out: Path, choices: Choices, host: str, port: int | None, opened: bool) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        InputError: the port is taken, or the page cannot be made.
    """
    with (
        tempfile.TemporaryDirectory(prefix="pocketknn-") as folder,
        server.listen(Path(folder), host, port) as listening,
    ):
        _write(out, choices, Path(folder))
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{listening.server_address[1]}/"
        console.print(f"{url} shows it until Ctrl-C", markup=False)
        if opened:
            webbrowser.open(url)
        with suppress(KeyboardInterrupt):
            listening.serve_forever()
        console.print("stopped")


def _write(out: Path, choices: Choices, folder: Path) -> None:
    limit = parse_bytes(choices.thumbnails)
    model, metadata = page.model_of(out)
    photos = [] if choices.photos is None else find(choices.photos, note=say)
    runs = runtime.remembered() if choices.runtime is None else runtime.unpacked(choices.runtime)
    small = _thumbnails(photos, metadata, folder / page.THUMBNAILS, limit) if photos else {}
    page.write(folder, model, metadata, runs, title=choices.title, thumbnails=small)
    console.print(f"onnxruntime-web {runs.version} runs {model.name}", markup=False)
    if not photos:
        console.print("no thumbnails: --photos names the photos that it was built from")


def _thumbnails(
    photos: Sequence[Photo], metadata: Metadata, folder: Path, limit: int
) -> dict[int, str]:
    rows = metadata.rows()
    with progress() as bar:
        step = bar.add_task("thumbnails", total=len(photos))
        small = thumbnails.write(folder, rows, photos, limit, lambda: bar.advance(step))
    size = sum(path.stat().st_size for path in folder.iterdir())
    console.print(f"{len(small)} of {len(rows)} references have a thumbnail: {megabytes(size)}")
    return small
