"""make screenshots: the pictures of README and of these pages, taken from the product itself.

Builds a model from pictures that code has drawn (drawings.py), and opens its report and the page of
`pocketknn web` in headless Chromium. Skips with one line where there is no Chromium or no npm.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import drawings
from diagram import diagram
from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent / "pages" / "pictures"
LARGEST = 120_000  # bytes of a picture
WIDTH, HEIGHT = 1000, 880
FILMED = "pear"  # what lies before the fake camera


def main() -> None:
    """Write all pictures, or say why not."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None or shutil.which("npm") is None:
        print("no screenshots: they need Chromium, and npm for the page of pocketknn web")
        return
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        photos = drawings.write(place / "photos", photos=16)
        (place / "files.svg").write_text(diagram(photos), "utf-8")
        # The small backbone, so that it is quick and there are mistakes to show.
        _pocketknn(place, "build photos -o out --backbone bundled --reject auto")
        _pocketknn(place, "web out --photos photos --export page")
        video = place / "camera.mjpeg"
        _film(video)
        with sync_playwright() as playwright:
            started = playwright.chromium.launch(
                executable_path=browser,
                args=[
                    "--no-sandbox",  # it refuses root, and only pages of ours are opened
                    "--use-fake-device-for-media-stream",
                    "--use-fake-ui-for-media-stream",
                    f"--use-file-for-fake-video-capture={video}",
                ],
            )
            tab = started.new_page(
                viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light"
            )
            tab.goto((place / "files.svg").as_uri())
            _save(tab.locator("svg").screenshot(), "files.png")
            tab.goto((place / "out" / "report.html").as_uri())
            _save(tab.screenshot(), "report.png", height=800)
            _save(tab.locator("#hardest").screenshot(), "hardest.png", height=480)
            with _served(place / "page") as url:
                tab.goto(url)
                _answered(tab)
                _save(tab.screenshot(), "camera.png")
            started.close()


def _pocketknn(place: Path, words: str) -> None:
    command = [str(Path(sys.executable).with_name("pocketknn")), *words.split()]
    subprocess.run(command, cwd=place, check=True)


def _film(path: Path) -> None:
    """A film of one fruit, in pictures as of a camera, which no reference shows."""
    frame = io.BytesIO()
    drawings.drawn(FILMED, seed=4).resize((480, 480)).save(frame, "JPEG", quality=92)
    path.write_bytes(frame.getvalue() * 30)


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def _answered(tab: Page) -> None:
    """Use the camera, and wait until the page has answered some frames of it."""
    tab.wait_for_selector("#hint:not([hidden])", timeout=120_000)
    tab.click("#camera")
    tab.wait_for_selector("#verdict:not([hidden])", timeout=120_000)
    tab.wait_for_timeout(4000)


def _save(png: bytes, name: str, height: int = HEIGHT) -> None:
    """Write the upper part of a screenshot, with as many colours as fit."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture = picture.crop((0, 0, picture.width, min(picture.height, height)))
    for colours in (256, 128, 64, 32, 16):
        few = picture.quantize(colours, kmeans=2, dither=Image.Dither.NONE)
        few.save(PICTURES / name, optimize=True)
        if (size := (PICTURES / name).stat().st_size) <= LARGEST:
            print(f"{name}: {colours} colours, {size} bytes")
            return
    raise SystemExit(f"{name} is larger than {LARGEST} bytes")


if __name__ == "__main__":
    main()
