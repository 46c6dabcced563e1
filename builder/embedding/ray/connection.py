"""Connect to a Ray cluster, or start one; failures are one-line errors."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.system.container import cores

_CLIENT = "ray://"
_RAY = "ray[data]<2.64"  # as pyproject.toml has it
_SECONDS = 5.0  # for a cluster to accept a connection
_STORE = 1 << 28  # bytes of shared memory for names and embeddings in transit
# Packages that affect the bits of an embedding, or whether a picture can be decoded.
_PACKAGES = ("pocketknn", "ai-edge-litert", "numpy", "pillow", "pillow-heif")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The Ray cluster to embed on.

    Attributes:
        address: `auto` for the one that this machine belongs to, `ray://HOST:PORT` or `HOST:PORT`;
            None for the one in the environment variable RAY_ADDRESS, or else a temporary one on all
            cores of this machine.

    Raises:
        InputError: Ray is not installed, or the address is invalid.
    """

    address: str | None = None

    def __post_init__(self) -> None:
        if not all(find_spec(name) for name in ("ray", "pandas", "fsspec")):
            raise InputError(
                f"--engine ray needs Ray: pip install '{_RAY}'", "package-not-installed"
            )
        if self.address is not None and self.address != "auto":
            _host_and_port(self.address)

    @property
    def name(self) -> str | None:
        """The address; None for a temporary cluster on this machine."""
        return self.address or os.environ.get("RAY_ADDRESS") or None


@contextmanager
def connected(cluster: Cluster) -> Iterator[bool]:
    """A connection to a cluster for the duration of the block; an existing one is reused.

    Yields whether the connection goes through the Ray Client, as it does for ray://… addresses.

    Raises:
        InputError: the cluster cannot be reached, runs another version, or has no free core.
    """
    import ray

    ours = not ray.is_initialized()
    if ours:
        ending = signal.getsignal(signal.SIGTERM)
        try:
            _connect(cluster.name)
        finally:
            # Ray installs its own SIGTERM handler: restore ours, which cleans up.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, ending)
    try:
        if ray.cluster_resources().get("CPU", 0) < 1:
            raise InputError("the Ray cluster has no core to embed on", "cluster-without-cores")
        yield ray.util.client.ray.is_connected()
    finally:
        if ours:
            ray.shutdown()


def versions() -> dict[str, str]:
    """The versions of the relevant packages on this machine."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def _connect(address: str | None) -> None:
    import ray

    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address is None:
            ray.init(
                "local",
                num_cpus=cores(),
                object_store_memory=_STORE,
                include_dashboard=False,
                **quiet,
            )
            return
        if address != "auto":
            # Otherwise Ray would wait for a minute, then end the process.
            socket.create_connection(_host_and_port(address), _SECONDS).close()
        ray.init(address, **quiet)
    except (OSError, ValueError, RuntimeError, SystemExit) as error:
        ray.shutdown()
        where = "be started" if address is None else f"be reached at {address}"
        # Ray raises SystemExit if a cluster does not answer.
        why = "it does not answer" if isinstance(error, SystemExit) else first_line(error)
        raise InputError(f"no Ray cluster can {where}: {why}", "cluster-unreachable") from error


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix(_CLIENT).rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise InputError(
            f"{address!r} is not the address of a Ray cluster; give auto, ray://HOST:10001 or"
            " HOST:6379",
            "bad-cluster-address",
        )
    return host, int(port)
