"""Which requests `pocketknn web` answers, and with what."""

import http.client
import socket
import ssl
import threading

import pytest
from chromium import browser

from pocketknn.builder import InputError
from pocketknn.export.apps.web import certificate, server


@pytest.mark.parametrize(
    "host", ["", "\x1b[31mred\n", "é" * 80, "a\0b", "..", "x" * 70, "nope.invalid"]
)
def test_an_odd_host_is_refused_in_words(host, tmp_path):
    """An empty host would listen on every address of this machine."""
    with pytest.raises(InputError, match="--host"):
        server.listen(tmp_path, host, 0)


@pytest.fixture
def serving(tmp_path):
    """Serve a folder on a host; yields the port."""
    (tmp_path / "index.html").write_text("the page")
    running = []

    def serve(host):
        one = server.listen(tmp_path, host, 0)
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        running.append(one)
        return one.server_address[1]

    yield serve
    for one in running:
        one.shutdown()
        one.server_close()


def answer(port, *hosts):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("GET", "/", skip_host=True)
    for host in hosts:
        connection.putheader("Host", host)
    connection.endheaders()
    found = connection.getresponse()
    text = found.read().decode()
    connection.close()
    return found.status, found.headers, text


def test_only_names_of_this_machine_are_answered(serving):
    port = serving("127.0.0.1")
    for host in ("localhost", "127.0.0.1", "LOCALHOST", "[::1]"):
        status, headers, text = answer(port, f"{host}:{port}")
        assert (status, text) == (200, "the page")
        assert "Server" not in headers
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    named = f"localhost:{port}"
    others = [f"evil.example:{port}", "localhost", f"localhost:{port + 1}", f"10.0.0.1:{port}", ""]
    others += [f"localhost.evil.example:{port}", f"x@localhost:{port}/", "localhost:x", "[::1"]
    for host in others:
        status, headers, text = answer(port, host)
        assert status == 421, host
        assert "the page" not in text
        assert "Server" not in headers
    assert answer(port)[0] == 421
    assert answer(port, named, "evil.example")[0] == 421


def test_the_address_that_was_named_is_answered_too(serving):
    port = serving("0.0.0.0")
    for host in ("127.0.0.1", "192.0.2.7", "0.0.0.0", "[2001:db8::1]", socket.gethostname()):
        assert answer(port, f"{host}:{port}")[0] == 200, host
    assert answer(port, f"evil.example:{port}")[0] == 421


@pytest.fixture
def phone(tmp_path):
    """A page served over https as for phones; yields the port, and the certificate."""
    pages, private = tmp_path / "page", tmp_path / "private"
    pages.mkdir()
    private.mkdir()
    (pages / "index.html").write_text("<title>the page</title>")
    secure = certificate.certified(private, "127.0.0.1")
    with server.listen(pages, "0.0.0.0", 0, secure) as one:
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        yield one.server_address[1], private / "certificate.pem"
        one.shutdown()


def test_a_phone_is_served_over_https_with_our_own_certificate(phone):
    port, path = phone
    trusting = ssl.create_default_context(cafile=path)  # also checks the address
    with socket.create_connection(("127.0.0.1", port), timeout=10):  # says nothing
        one = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trusting)
        one.request("GET", "/")
        assert b"the page" in one.getresponse().read()
        one.close()
    strange = http.client.HTTPSConnection("127.0.0.1", port, timeout=10)
    with pytest.raises(ssl.SSLCertVerificationError):
        strange.request("GET", "/")
    with pytest.raises((OSError, http.client.HTTPException)):  # nothing goes out unencrypted
        answer(port, f"127.0.0.1:{port}")
    key = path.parent / "key.pem"
    assert key.stat().st_mode & 0o077 == 0, "only its owner reads the key"


def test_the_browser_of_a_phone_has_a_camera_to_offer(phone):
    port, _ = phone
    here = certificate.address()
    allowed = "() => isSecureContext && Boolean(navigator.mediaDevices)"
    with (
        browser("--ignore-certificate-errors") as chromium,
        server.listen(phone[1].parent.parent / "page", "0.0.0.0", 0) as plain,
    ):
        threading.Thread(target=plain.serve_forever, args=(0.01,), daemon=True).start()
        tab = chromium.new_page()
        tab.goto(f"https://{here}:{port}/")
        assert tab.title() == "the page"
        assert tab.evaluate(allowed)
        tab.goto(f"http://{here}:{plain.server_address[1]}/")
        assert tab.evaluate(allowed) is here.startswith("127.")
        plain.shutdown()


def test_without_openssl_or_a_network_a_phone_is_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="openssl"):
        certificate.certified(tmp_path, "127.0.0.1")
    (tmp_path / "openssl").write_text("#!/bin/sh\necho no such curve >&2; exit 1\n")
    (tmp_path / "openssl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(InputError, match="made no certificate: no such curve"):
        certificate.certified(tmp_path, "127.0.0.1")
    monkeypatch.setattr(certificate, "_NOWHERE", ("not an address", 9))
    with pytest.raises(InputError, match="on no network"):
        certificate.address()


def test_a_silent_browser_is_not_waited_for(serving, monkeypatch):
    assert server.Handler.timeout
    monkeypatch.setattr(server.Handler, "timeout", 0.05)
    port = serving("127.0.0.1")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert one.recv(100) == b"", "the server hangs up"
