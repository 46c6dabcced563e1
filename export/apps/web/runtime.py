"""onnxruntime-web, which runs the ONNX file in a browser: fetched with npm and cached."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.builder.system.atomic_file import NEW, OLD, workplace
from pocketknn.builder.system.cache import USUAL, Cache
from pocketknn.builder.system.swap import put
from pocketknn.builder.system.untrusted_json import parse_json

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
# The page's name for a file, as some servers do not know .mjs, and its path in the package.
FILES = {
    "ort.js": "dist/ort.wasm.bundle.min.mjs",
    "ort.wasm": "dist/ort-wasm-simd-threaded.wasm",
}
# The same with WebGPU. Of its builds this is the smallest; browsers run it that have JSPI.
WEBGPU = {
    "ort.webgpu.js": "dist/ort.jspi.bundle.min.mjs",
    "ort.webgpu.wasm": "dist/ort-wasm-simd-threaded.jspi.wasm",
}
_DESCRIPTION = "package.json"
_SECONDS = 600  # for 33 MB
_ELSE = f"use --runtime with an unpacked {PACKAGE} instead"


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """The files that run a model.

    Attributes:
        version: version of onnxruntime-web.
        files: the path of each of `FILES`.
        webgpu: the path of each of `WEBGPU`; empty if the package lacks one of them.
    """

    version: str
    files: dict[str, Path]
    webgpu: dict[str, Path]


def unpacked(folder: Path) -> Runtime:
    """The runtime in a folder unpacked by `npm install` or `tar`.

    Raises:
        InputError: it is not onnxruntime-web, or is incomplete.
    """
    try:
        facts = parse_json((folder / _DESCRIPTION).read_text("utf-8"))
        name, version = facts["name"], facts["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} is not an npm package: it has no {_DESCRIPTION}", "not-the-runtime"
        ) from error
    if name != PACKAGE:
        raise InputError(f"{folder} is {name}, not {PACKAGE}", "not-the-runtime")
    files = {ours: folder / theirs for ours, theirs in FILES.items()}
    for path in files.values():
        if not path.is_file():
            raise InputError(
                f"{PACKAGE} {version} in {folder} has no {path.relative_to(folder)}",
                "runtime-incomplete",
            )
    webgpu = {ours: folder / theirs for ours, theirs in WEBGPU.items()}
    if not all(path.is_file() for path in webgpu.values()):
        webgpu = {}
    return Runtime(version=version, files=files, webgpu=webgpu)


def remembered(cache: Cache = USUAL, *, webgpu: bool = False) -> Runtime:
    """The pinned runtime, which npm fetches once for the cache.

    Args:
        cache: stores the runtime.
        webgpu: whether to fetch the runtime again if the cached one lacks WebGPU, as one cached by
            an earlier version of this package does; if that fails, the cached one is used.

    Raises:
        InputError: there is no npm, its registry does not answer, or the package differs.
    """
    drawer = cache.drawer("runtimes")
    if drawer is None:
        raise InputError(
            f"there is no home folder to store {PACKAGE} in; set POCKETKNN_CACHE", "no-cache-folder"
        )
    place = drawer / f"{PACKAGE}-{VERSION}"
    if not place.exists():
        drawer.mkdir(parents=True, exist_ok=True)
        _fetch(place)
    elif webgpu and not unpacked(place).webgpu:
        with suppress(InputError, OSError):
            _fetch(place)
    return unpacked(place)


def _fetch(place: Path) -> None:
    with workplace(place) as work:
        _unpack(_download(work), work / NEW)
        if not (place.exists() and unpacked(place).webgpu):  # else another process was faster
            put(work / NEW, place, work / OLD)


def _download(folder: Path) -> Path:
    """Fetch the package's archive with npm."""
    npm = shutil.which("npm")  # npm.cmd on Windows, not found without its suffix
    if npm is None:
        raise InputError(f"the page needs npm to fetch {PACKAGE}; {_ELSE}", "npm-missing")
    wanted = f"{PACKAGE}@{VERSION}"
    command = [npm, "pack", wanted, "--fetch-retries=1", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"npm's registry does not answer; {_ELSE}", "npm-failed") from error
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        errors = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        reason = " ".join(" ".join(errors[:3]).replace("npm error", "").split())
        raise InputError(
            f"npm could not fetch {wanted} ({reason or 'no reason given'}); {_ELSE}", "npm-failed"
        )
    return archives[0]


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the files that the page uses, if the archive is the tested one."""
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != SHA512:
        raise InputError(
            f"checksum mismatch: npm's {PACKAGE} {VERSION} is not the one that was tested; {_ELSE}",
            "checksum-mismatch",
        )
    with tarfile.open(archive) as members:
        for name in (_DESCRIPTION, *FILES.values(), *WEBGPU.values()):
            source = members.extractfile(f"package/{name}")
            if source is None:
                raise InputError(f"{PACKAGE} {VERSION} has no {name}", "runtime-incomplete")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(source.read())
