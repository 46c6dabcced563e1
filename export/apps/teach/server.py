"""Serve the teaching page, and build what it sends.

The server starts programs, so it answers only requests from this machine and from its own pages,
below an address that nobody can guess.
"""

from __future__ import annotations

import json
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from pocketknn.builder.errors import InputError
from pocketknn.export.apps.web import server
from pocketknn.export.apps.web.server import Handler, Server

from . import PLACE
from .upload import MOST_BYTES

if TYPE_CHECKING:
    from .building import Builds

HOST = "127.0.0.1"
_PIECE = 1 << 20
_SECONDS = 600  # to send photos
_LENGTH = re.compile("[0-9]{1,15}")
_LONGEST = 64  # characters of what a page calls its lesson
_BUSY = "Another build is running here. Wait until it is done, then build again."
_MOVED = (
    "pocketknn teach has another address each time it starts: open the one that it printed last."
    " Your lesson, which your browser stores, is there too if the port is the same"
)


def listen(folder: Path, builds: Builds, token: str, port: int | None) -> Server:
    """A server for a page, which listens but does not answer yet.

    Args:
        folder: the page's folder.
        builds: builds what the page sends.
        token: the first part of every address; requests without it get 404.
        port: the port, as for `listen` in `web.server`.

    Raises:
        InputError: the port is taken or not allowed.
    """
    handler = partial(_Handler, builds=builds, token=token)
    return server.listen(folder, HOST, port, handler=handler)


class _Handler(Handler):
    def __init__(self, *given: Any, directory: str, builds: Builds, token: str) -> None:  # noqa: ANN401
        self._page, self._builds, self._token = directory, builds, token
        super().__init__(*given, directory=directory)

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        token, slash, rest = self.path[1:].partition("/")
        if not slash or not secrets.compare_digest(token.encode(), self._token.encode()):
            self.close_connection = True
            self.send_error(HTTPStatus.NOT_FOUND, explain=_MOVED)
            return False
        self.path = f"/{rest.lstrip('/')}"
        return True

    def end_headers(self) -> None:
        self.send_header("Referrer-Policy", "same-origin")  # the address is a secret
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        super().end_headers()

    def do_GET(self) -> None:  # noqa: N802
        if urlsplit(self.path).path == "/state":
            self._reply(HTTPStatus.OK, self._builds.state())
        else:
            super().do_GET()

    def translate_path(self, path: str) -> str:
        name = path.removeprefix(f"/{PLACE}/")
        self.directory = self._page if name == path else str(self._builds.path_of(name))
        return super().translate_path(name)

    def do_POST(self) -> None:  # noqa: N802
        url = urlsplit(self.path)
        self.close_connection = True  # as a body may be left unread
        # Browsers name the page that sends; another site cannot name ours.
        if self.headers.get_all("Origin", []) != [f"http://{self.headers['Host']}"]:
            self._refuse(HTTPStatus.FORBIDDEN, "only pocketknn's own page may request this")
        elif url.path == "/stop":
            self._builds.stop()
            self._reply(HTTPStatus.OK, {"ok": True})
        elif url.path == "/build":
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            self._build(asked.get("model", ""), asked.get("lesson", "")[:_LONGEST])
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing at this address")

    def _build(self, model: str, lesson: str) -> None:
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/zip" or not _LENGTH.fullmatch(length):
            self._refuse(HTTPStatus.BAD_REQUEST, "send a zip, with its length")
        elif int(length) > MOST_BYTES:
            self._refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the photos are larger than {MOST_BYTES >> 30} GiB together",
            )
        elif not self._builds.reserve(lesson):
            with suppress(InputError, OSError):
                self._receive(int(length))  # a browser reads the answer only after it has sent
            self._refuse(HTTPStatus.CONFLICT, _BUSY)
        else:
            self._reserved(int(length), model)

    def _reserved(self, length: int, model: str) -> None:
        """Receive the photos and start the build; if that fails, let others build."""
        try:
            with tempfile.TemporaryDirectory(dir=self._builds.work) as place:
                sent = Path(place, "sent.zip")
                with sent.open("wb") as file:
                    self._receive(length, file.write)
                self._builds.start(sent, model)
        except BaseException as error:
            self._builds.release()
            if not isinstance(error, (InputError, OSError)):
                raise
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self._reply(HTTPStatus.ACCEPTED, {"ok": True})

    def _receive(self, length: int, write: Callable[[bytes], object] = len) -> None:
        """Read a body, piece by piece.

        Raises:
            InputError: the body is shorter than announced, or takes too long.
        """
        end = time.monotonic() + _SECONDS
        while length:
            piece = self.rfile.read1(min(length, _PIECE))
            if not piece or time.monotonic() > end:
                raise InputError("the upload of the photos was incomplete", "too-short")
            write(piece)
            length -= len(piece)

    def _refuse(self, status: HTTPStatus, error: str) -> None:
        self._reply(status, {"error": error})

    def _reply(self, status: HTTPStatus, data: dict[str, Any]) -> None:
        text = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text)
