"""Serve a folder to browsers."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from pocketknn.builder.errors import InputError

PORT = 8000
_TRIED = 20
_SECONDS = 30  # timeout in the middle of a request or a response
_EVERYWHERE = ("0.0.0.0", "::", "")


class Handler(SimpleHTTPRequestHandler):
    """Answers with the files of a folder."""

    protocol_version = "HTTP/1.1"
    timeout = _SECONDS
    server: Server
    # Independent of this machine's own table of file types.
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def parse_request(self) -> bool:
        """Refuse requests that name another host."""
        if not super().parse_request():
            return False
        # DNS rebinding: a foreign page whose name points here sends that name as the host.
        if not self.server.is_named(self.headers.get_all("Host", [])):
            self.close_connection = True
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return False
        return True

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin a response."""
        self.send_response_only(
            code, message
        )  # without the Server header, which reveals Python's version
        self.send_header("Date", self.date_time_string())

    def end_headers(self) -> None:
        """Add the headers of every response."""
        # These two headers let the model use threads.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def list_directory(self, path: object) -> None:
        """Refuse to list a folder."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


class Server(ThreadingHTTPServer):
    """A server that answers only requests whose Host header names this machine."""

    host = ""

    def is_named(self, hosts: list[str]) -> bool:
        """Whether a request has exactly one Host header, naming this server and its port."""
        with suppress(ValueError):  # not an address
            url = urlsplit(f"//{hosts[0]}" if len(hosts) == 1 else "//")
            if url.path or (url.port or 80) != self.server_address[1]:
                return False
            name = url.hostname or ""
            if name in ("localhost", "127.0.0.1", "::1", self.host.lower()):
                return bool(name)
            if self.host in _EVERYWHERE:  # the machine's addresses are not known
                return name == socket.gethostname().lower() or bool(ipaddress.ip_address(name))
        return False


def listen(
    folder: Path,
    host: str,
    port: int | None,
    secure: ssl.SSLContext | None = None,
    handler: Callable[..., Handler] = Handler,
) -> Server:
    """A server for a folder, which listens but does not answer yet.

    Requests that name a host or port other than this one get 421.

    Args:
        folder: the folder to serve.
        host: the address to listen on.
        port: the port; 0 for any; None for the first free one of 20 from 8000.
        secure: settings to serve over https; None to serve over http.
        handler: makes the handler of a request.

    Raises:
        InputError: the port is taken or not allowed, or the host is not this machine.
    """
    if not host:
        raise InputError(
            "name an address to listen on with --host; 0.0.0.0 is every address of this machine",
            "no-host",
        )
    ports = range(PORT, PORT + _TRIED) if port is None else (port,)
    for number in ports:
        try:
            bound = _bound(host, number, partial(handler, directory=str(folder)))
        except (OSError, OverflowError, TypeError, ValueError) as error:  # from odd hosts and ports
            failed = error
            continue
        if secure:  # each thread shakes hands for itself, so that nobody waits for a silent browser
            bound.socket = secure.wrap_socket(
                bound.socket, server_side=True, do_handshake_on_connect=False
            )
        return bound
    reason = getattr(failed, "strerror", None) or str(failed)
    where = f"{host}, port {ports[0]}" + (f" to {ports[-1]}" if len(ports) > 1 else "")
    raise InputError(
        f"cannot listen on {where}: {reason}; choose another --host or --port", "cannot-listen"
    )


def _bound(host: str, port: int, handler: Callable[..., Handler]) -> Server:
    class Bound(Server):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    bound = Bound((host, port), handler)
    bound.host = host
    return bound
