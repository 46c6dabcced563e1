"""onnxruntime-web, which runs the ONNX file in a browser: from npm, remembered on this machine."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from pocketknn.builder.errors import InputError
from pocketknn.builder.system.atomic_file import NEW, workplace
from pocketknn.builder.system.cache import USUAL, Cache
from pocketknn.builder.system.untrusted_json import parse_json

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
# What the page calls a file, for servers that know no .mjs, and where it is in the package.
FILES = {
    "ort.js": "dist/ort.wasm.bundle.min.mjs",
    "ort.wasm": "dist/ort-wasm-simd-threaded.wasm",
}
_DESCRIPTION = "package.json"
_SECONDS = 600  # for 33 MB
_ELSE = f"--runtime names an unpacked {PACKAGE} instead"


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """The files that run a model.

    Attributes:
        version: of onnxruntime-web.
        files: where each of `FILES` lies.
    """

    version: str
    files: dict[str, Path]


def unpacked(folder: Path) -> Runtime:
    """The runtime in a folder that `npm install` or `tar` unpacked.

    Raises:
        InputError: it is not onnxruntime-web, or not all of it.
    """
    try:
        said = parse_json((folder / _DESCRIPTION).read_text("utf-8"))
        name, version = said["name"], said["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} is no npm package: it has no {_DESCRIPTION}") from error
    if name != PACKAGE:
        raise InputError(f"{folder} is {name}, not {PACKAGE}")
    files = {ours: folder / theirs for ours, theirs in FILES.items()}
    for path in files.values():
        if not path.is_file():
            raise InputError(f"{PACKAGE} {version} in {folder} has no {path.relative_to(folder)}")
    return Runtime(version=version, files=files)


def remembered(cache: Cache = USUAL) -> Runtime:
    """The pinned runtime, which npm brings once and the cache keeps.

    Raises:
        InputError: there is no npm, no answer from its registry, or not the package as pinned.
    """
    kept = cache.drawer("runtimes")
    if kept is None:
        raise InputError(f"there is no home folder to keep {PACKAGE} in; set POCKETKNN_CACHE")
    place = kept / f"{PACKAGE}-{VERSION}"
    if not place.exists():
        kept.mkdir(parents=True, exist_ok=True)
        with workplace(place) as work:
            _unpack(_download(work), work / NEW)
            if not place.exists():  # unless another process was faster
                (work / NEW).rename(place)
    return unpacked(place)


def _download(folder: Path) -> Path:
    """The package's archive, as npm brings it."""
    npm = shutil.which("npm")  # npm.cmd on Windows, which is not found without its ending
    if npm is None:
        raise InputError(f"the page needs npm to fetch {PACKAGE}; {_ELSE}")
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
        raise InputError(f"npm's registry does not answer; {_ELSE}") from error
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        errors = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        said = " ".join(" ".join(errors[:3]).replace("npm error", "").split())
        raise InputError(f"npm could not fetch {wanted} ({said or 'no reason given'}); {_ELSE}")
    return archives[0]


def _unpack(archive: Path, folder: Path) -> None:
    """The files of the package that the page uses, if the archive is the one that was tested."""
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != SHA512:
        raise InputError(f"npm brought another {PACKAGE} {VERSION} than was tested; {_ELSE}")
    with tarfile.open(archive) as members:
        for name in (_DESCRIPTION, *FILES.values()):
            source = members.extractfile(f"package/{name}")
            if source is None:
                raise InputError(f"{PACKAGE} {VERSION} has no {name}")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(source.read())
