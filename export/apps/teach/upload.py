"""The zip that the page sends: photos as CLASS/RECORDING/PHOTO, and perhaps a memory."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.photos.class_names import check_classes
from pocketknn.builder.photos.photo import is_litter
from pocketknn.builder.references import memory_json
from pocketknn.builder.references.references import References
from pocketknn.builder.spec import UNKNOWN

MOST_BYTES = 1 << 30
_MOST_FILES = 20_000
_MOST_UNPACKED = 2 << 30
_MOST_MEMORY = 64 << 20
_LONGEST = 200  # bytes of a name, which becomes a folder's
_MEMORY = "memory.json"
PHOTOS, TAUGHT = "photos", "taught.parquet"  # what is unpacked
_ENOUGH, _ENOUGH_OCCASIONS = 20, 4  # to reject pictures, as in static/strangers.js
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, EOFError),
    *(NotImplementedError, RuntimeError, UnicodeDecodeError),  # such as passwords
)
_Parts = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The unpacked zip.

    Attributes:
        photos: whether there are photos, in the folder `PHOTOS`.
        taught: whether there are examples without photos, in the file `TAUGHT`.
        occasions: whether each recording has a folder of its own, whose photos are held out
            together.
        rejects: whether there are enough examples to measure a threshold for unknown.
    """

    photos: bool
    taught: bool
    occasions: bool
    rejects: bool


def unpack(path: Path, folder: Path, like: References) -> Upload:
    """Check a zip and unpack it.

    Args:
        path: the zip.
        folder: where to unpack; nothing is written elsewhere, whatever the names in the zip.
        like: a reference from the page's backbone, which must also have made the memory.

    Raises:
        InputError: it is not a zip, it is too large, a name in it is not allowed, its
            memory is of another backbone, or there are fewer than two classes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(archive.infolist())
            names = [name for name in archive.namelist() if name != _MEMORY]
            photos = {name: _parts(name) for name in names}
            taught = None
            if len(names) < len(archive.namelist()):
                taught = _memory(archive, folder).like(like)
            occasions = _occasions(photos.values(), taught)
            # One of each class leaves nothing to answer with.
            apart = any(len(found) > 1 for found in occasions.values())
            for name, parts in photos.items():
                with archive.open(name) as source, _new(folder / PHOTOS, parts, apart) as target:
                    shutil.copyfileobj(source, target)
    except _BROKEN as error:
        raise InputError(
            f"the upload is not a readable zip: {first_line(error)}",
            "unreadable-archive",
        ) from error
    except OSError as error:  # such as a full disk
        raise InputError(
            f"the photos cannot be stored: {error.strerror or error}", "cannot-write"
        ) from error
    if taught is not None:
        kept = taught if apart else replace(taught, occasions=("",) * len(taught))
        kept.save(folder / TAUGHT)
    return Upload(
        photos=bool(photos),
        taught=taught is not None,
        occasions=apart,
        rejects=apart
        and len(photos) + len(taught or ()) >= _ENOUGH
        and sum(map(len, occasions.values())) >= _ENOUGH_OCCASIONS
        and UNKNOWN not in occasions,  # whose references a build made of strangers
    )


def _check_sizes(infos: Sequence[zipfile.ZipInfo]) -> None:
    if len(infos) > _MOST_FILES:
        raise InputError(f"at most {_MOST_FILES:,} photos can be sent", "too-many-files")
    if sum(info.file_size for info in infos) > _MOST_UNPACKED:
        raise InputError(
            f"the photos are larger than {_MOST_UNPACKED >> 30} GiB together", "too-large"
        )
    # Other compressions may take much more memory than they say.
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in infos):
        raise InputError("the uploaded zip uses an unsupported compression", "unreadable-archive")
    if len({info.filename for info in infos}) < len(infos):
        raise InputError("two uploaded photos have the same name", "duplicate-name")


def _parts(name: str) -> _Parts:
    """The class, recording and file that a name consists of.

    Raises:
        InputError: the name has other parts, or a part cannot be the name of a folder or file.
    """
    parts = name.split("/")
    if len(parts) > 3:  # folders could not tell the class from its recordings
        label = "/".join(parts[:-2])
        raise InputError(
            f"the class {label[:80]!r} has a slash and photos of its own; rename it first",
            "bad-name",
        )
    if len(parts) < 3:
        raise InputError(f"{name[:80]!r} is not CLASS/RECORDING/PHOTO", "bad-name")
    for part in parts:
        length = len(part.encode("utf-8", "replace"))
        if not part.strip() or is_litter(part) or "\\" in part or length > _LONGEST:
            raise InputError(
                f"the name {part[:40]!r} cannot be used for a folder: it must have 1 to {_LONGEST}"
                " bytes, no backslash, and no dot at its start",
                "bad-name",
            )
    return parts[0], parts[1], parts[2]


def _memory(archive: zipfile.ZipFile, folder: Path) -> memory_json.Memory:
    """The examples without a photo.

    Raises:
        InputError: there are too many, or it is not a memory.
    """
    if archive.getinfo(_MEMORY).file_size > _MOST_MEMORY:
        raise InputError(f"{_MEMORY} is larger than {_MOST_MEMORY >> 20} MiB", "too-large")
    place = folder / _MEMORY
    place.write_bytes(archive.read(_MEMORY))
    try:
        return memory_json.read(place)
    except InputError as error:  # without the private folder
        raise InputError(str(error).replace(str(place), _MEMORY), error.code) from error


def _occasions(photos: Iterable[_Parts], taught: References | None) -> dict[str, set[object]]:
    """The occasions of each class; an example of unknown origin is an occasion of its own.

    Raises:
        InputError: there are fewer than two classes, or a name belongs to no class.
    """
    found: dict[str, set[object]] = {}
    for label, recording, _ in photos:
        found.setdefault(label, set()).add(f"{label} {recording}")
    if taught is not None:
        for row, occasion in enumerate(taught.occasions):
            found.setdefault(taught.label_of(row), set()).add(occasion or row)
    check_classes(found)
    if len(found) < 2:
        raise InputError("teach at least two classes", "too-few-classes")
    return found


def _new(folder: Path, parts: _Parts, apart: bool) -> BinaryIO:
    """Create a photo's file, in its class folder and, with `apart`, in a folder per recording."""
    label, recording, file = parts
    # Two classes may have recordings of the same name; they are different occasions.
    own = f"{label} {recording}"
    if len(own.encode()) > _LONGEST:
        own = hashlib.sha256(own.encode()).hexdigest()[:16]
    place = folder / label / (f"{own}/{file}" if apart else f"{recording}-{file}")
    if not place.resolve().is_relative_to(folder.resolve()):  # such as a drive of Windows
        raise InputError(f"the name {'/'.join(parts)[:80]!r} leads out of the folder", "bad-name")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place.open("xb")
