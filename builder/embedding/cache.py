"""Embeddings that were computed before, by picture and by everything that made them.

One SQLite file for each backbone, engine, size, crop policy, resampling rule, and version of what
decodes and runs; in it a row for each picture's hash. SQLite keeps the file whole when a build is
killed or two builds write at once.
Beside them lie the networks and facts that are made once for a backbone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.photos.decode import DECODING
from pocketknn.builder.system.cache_folder import folder as folder

if TYPE_CHECKING:
    from pocketknn.builder.backbones.backbone import Backbone

EMBEDDINGS, NETWORK, FACTS = ".sqlite", ".network", ".facts"  # how the names of the files end
_OURS = re.compile(r"(.+-)?[0-9a-f]{24}(\.onnx)?")
_SCHEMA = 2
# What decodes a picture, and what runs each engine: other versions may round otherwise.
_DECODER = "pillow"
_RUNTIMES = {"litert": ("ai-edge-litert",), "keras": ("keras", "tensorflow"), "numpy": ("numpy",)}
_SECONDS_TO_WAIT = 60.0  # for another build that is writing
_TABLE = (
    "CREATE TABLE IF NOT EXISTS embeddings (picture TEXT PRIMARY KEY, vector BLOB, crc INTEGER)"
)
_ASKED_AT_ONCE = 500  # SQLite takes a limited number of parameters

Vector = NDArray[np.float32]


def write(path: Path, content: bytes) -> None:
    """Write a file of the cache, at once whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(content)
            file.close()
            os.replace(file.name, path)  # noqa: PTH105
        except OSError:
            Path(file.name).unlink()
            raise


def sizes(place: Path) -> list[tuple[str, int, int]]:
    """Name, number of pictures and bytes of each cache in a folder."""
    found = []
    for path in ours(place, EMBEDDINGS):
        try:
            with closing(sqlite3.connect(path, timeout=_SECONDS_TO_WAIT)) as connection:
                (count,) = connection.execute("SELECT COUNT(*) FROM embeddings").fetchone()
        except sqlite3.DatabaseError:
            count = 0
        found.append((path.stem, count, path.stat().st_size))
    return found


def networks(place: Path) -> list[tuple[str, int]]:
    """Name and bytes of each network in a folder."""
    return [(path.stem, path.stat().st_size) for path in ours(place, NETWORK)]


def clear(place: Path) -> int:
    """Remove all that is kept in a folder, and nothing else; how many files there were."""
    paths = [path for end in (EMBEDDINGS, NETWORK, FACTS) for path in ours(place, end)]
    for path in paths:
        path.unlink()
    return len(paths)


def ours(place: Path, ending: str = "") -> list[Path]:
    """The files and folders of a folder that are named by the hash of what made them, as ours are.

    Other programs may keep theirs beside them; a link leads elsewhere.
    """
    found = place.glob(f"*{ending}") if place.is_dir() else ()
    named = (path for path in found if _OURS.fullmatch(path.name.removesuffix(ending)))
    return sorted(path for path in named if not path.is_symlink())


@dataclass
class Cache:
    """Embeddings of one backbone under one crop policy. A fault of the cache never ends a build.

    Threads may share it.

    Attributes:
        path: the SQLite file.
        dim: values of an embedding.
        notes: what went wrong with it, in words.
    """

    path: Path
    dim: int
    notes: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    @classmethod
    def of(cls, place: Path, backbone: Backbone, crop: str) -> Cache:
        """The cache of a backbone and crop policy in a folder."""
        engine = backbone.engine
        versions = [version(package) for package in (_DECODER, *_RUNTIMES[engine.name])]
        made_by = [_SCHEMA, backbone.identity(), engine.name, crop, DECODING, versions]
        name = hashlib.sha256(json.dumps(made_by).encode()).hexdigest()[:24]
        path = place / f"{backbone.name}-{name}{EMBEDDINGS}"
        return cls(path=path, dim=backbone.dim, notes=list(engine.notes))

    def get(self, hashes: Sequence[str]) -> dict[str, Vector]:
        """The embeddings that are known, by the sha256 of the picture file."""
        found: dict[str, Vector] = {}
        for start in range(0, len(hashes), _ASKED_AT_ONCE):
            asked = hashes[start : start + _ASKED_AT_ONCE]
            marks = ",".join("?" * len(asked))
            query = f"SELECT picture, vector, crc FROM embeddings WHERE picture IN ({marks})"
            for picture, vector, crc in self._run(query, asked):
                # A row that was damaged on the disk is computed again.
                if len(vector) == 4 * self.dim and zlib.crc32(vector) == crc:
                    found[picture] = np.frombuffer(vector, np.float32)
        return found

    def put(self, vectors: Mapping[str, Vector]) -> None:
        """Keep embeddings (d,), by the sha256 of the picture file."""
        rows = [(key, value.tobytes()) for key, value in vectors.items()]
        self._run(
            "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)",
            [(key, vector, zlib.crc32(vector)) for key, vector in rows],
            many=True,
        )

    def _run(self, query: str, values: Sequence[Any], many: bool = False) -> list[Any]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=_SECONDS_TO_WAIT)
            with self._lock, closing(connection), connection:
                # After a power failure the file may be corrupt, which costs less than each write
                # waiting for the disk.
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute(_TABLE)
                if not many:
                    return connection.execute(query, values).fetchall()
                connection.executemany(query, values)
        except sqlite3.OperationalError as error:  # locked, read-only, disk full
            self._note(f"the cache {self.path} cannot be used: {error}")
        except sqlite3.DatabaseError:
            try:
                self.path.unlink(missing_ok=True)
                self._note(f"the cache {self.path} was corrupt and is made anew")
            except OSError as error:
                self._note(f"the cache {self.path} is corrupt and stays so: {error.strerror}")
        except OSError as error:
            self._note(f"the cache {self.path} cannot be used: {error.strerror}")
        return []

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)
