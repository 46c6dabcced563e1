"""Serves a folder to the browsers of this machine."""

from __future__ import annotations

import socket
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pocketknn.builder.errors import InputError

PORT = 8000
_TRIED = 20


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Whatever this machine's own table of file types says.
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        # With these two a browser lets the model use threads.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def list_directory(self, path: object) -> None:
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, *args: object) -> None:
        pass


def listen(folder: Path, host: str, port: int | None) -> ThreadingHTTPServer:
    """A server of a folder, which listens but does not answer yet.

    Args:
        folder: what it serves.
        host: the address it listens on.
        port: 0 takes any; None the first of 20 from 8000 on that is free.

    Raises:
        InputError: the port is taken or not allowed, or the host is not this machine's.
    """
    ports = range(PORT, PORT + _TRIED) if port is None else (port,)
    for number in ports:
        try:
            return _server(host)((host, number), partial(_Handler, directory=str(folder)))
        except (OSError, OverflowError) as error:
            failed = error
    reason = getattr(failed, "strerror", None) or str(failed)
    where = f"{host}, port {ports[0]}" + (f" to {ports[-1]}" if len(ports) > 1 else "")
    raise InputError(f"cannot listen on {where}: {reason}; choose with --host and --port")


def _server(host: str) -> type[ThreadingHTTPServer]:
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    return Server
