"""A self-signed certificate: browsers on other devices allow the camera only over https."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

from pocketknn.builder.errors import InputError, first_line

_NOWHERE = ("192.0.2.1", 9)  # an address for documentation; choosing the way to it sends nothing
_DAYS = 7
_SECONDS = 60


def address() -> str:
    """This machine's address in its network.

    Raises:
        InputError: it is in no network.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.connect(_NOWHERE)
            return str(one.getsockname()[0])
    except OSError as error:
        raise InputError(
            f"this machine is on no network that a phone could reach: {error.strerror or error}",
            "no-network",
        ) from error


def certified(folder: Path, *addresses: str) -> ssl.SSLContext:
    """Settings of a server with a new self-signed certificate for these addresses.

    Args:
        folder: for its private key; nobody else may read it, and it must not be served.
        addresses: IP addresses.

    Raises:
        InputError: there is no openssl, or it fails.
    """
    if (tool := shutil.which("openssl")) is None:
        raise InputError("--phone needs the program openssl, for a certificate", "openssl-missing")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    names = ",".join(["DNS:localhost", *(f"IP:{one}" for one in addresses)])
    made = [tool, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(_DAYS)]
    made += ["-subj", "/CN=pocketknn", "-addext", f"subjectAltName={names}"]
    made += ["-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run(made, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        why = first_line(ValueError(getattr(error, "stderr", None) or error))
        raise InputError(f"openssl made no certificate: {why}", "no-certificate") from error
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    settings.load_cert_chain(certificate, key)
    return settings
