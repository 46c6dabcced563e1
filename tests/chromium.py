"""The system's Chromium, headless, with the requests and errors of a page."""

import shutil
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

SECONDS = 60  # for an answer, including loading the model
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@contextmanager
def browser(*flags):
    """Skips if it is not installed: Debian's package is called chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("Chromium is not on this machine")
    with sync_playwright() as playwright:
        # The sandbox does not run as root, and only our own pages are opened.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *flags])
        yield started
        started.close()


def write_video(path, scene):
    """A video of one scene of 160 × 120 pixels for a simulated camera, in YUV 4:2:0."""
    y, *chroma = scene.convert("YCbCr").split()
    small = [plane.resize((80, 60), Image.Resampling.BOX) for plane in chroma]
    frame = b"FRAME\n" + b"".join(plane.tobytes() for plane in (y, *small))
    path.write_bytes(b"YUV4MPEG2 W160 H120 F30:1 Ip A1:1 C420jpeg\n" + 8 * frame)


@contextmanager
def served(folder):
    """Serve a folder with Python's plain static server; yields its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


class Page:
    """A page of ours in a browser."""

    def __init__(self, browser, url, missing=None, **context):
        self.url, self.requests, self.complaints = url, [], []
        self.context = browser.new_context(**context)
        if missing:
            self.context.route(f"**/{missing}", lambda route: route.fulfill(status=404))
        self.tab = self.context.new_page()
        self.tab.on("request", lambda one: self.requests.append(one.url))
        self.tab.on("requestfailed", lambda one: self.complaints.append(f"{one.url} {one.failure}"))
        self.tab.on("console", lambda one: self.complaints.append(one.text))
        self.tab.on("pageerror", lambda one: self.complaints.append(str(one)))
        self.tab.goto(url)

    def answer(self, act):
        """The page's next answer, after `act`: { answer, outputs, pixels }."""
        self.tab.evaluate("""() => {
            window.next = new Promise((resolve) => document.addEventListener(
                "pocketknn:answer", ({ detail }) => resolve(detail), { once: true }));
        }""")
        act()
        found = self.tab.evaluate(
            """async (seconds) => {
                const late = new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
                const found = await Promise.race([window.next, late]);
                return found && { ...found, pixels: Array.from(found.pixels) };
            }""",
            SECONDS,
        )
        assert found, f"no answer; the page says: {self.text('body')} {self.complaints}"
        return found

    def choose(self, picture):
        return self.answer(lambda: self.tab.set_input_files("#file", picture))

    def text(self, selector):
        return self.tab.inner_text(selector)


def opened(chromium, url):
    """The page that teaches, once it is ready."""
    shown = Page(chromium, url, accept_downloads=True)
    shown.tab.locator("body[data-ready=yes]").wait_for(timeout=60_000)
    return shown


def asked(shown, picture):
    """What the page answers to a picture."""
    shown.tab.evaluate("""() => {
        window.next = new Promise((resolve) => document.addEventListener(
            "pocketknn:answer", ({ detail }) => resolve(detail), { once: true }));
    }""")
    shown.tab.set_input_files("#ask", picture)
    return shown.tab.evaluate("window.next")
