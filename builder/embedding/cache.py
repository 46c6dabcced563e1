"""A cache of embeddings, keyed by picture and by everything that determines an embedding.

There is one SQLite file for each combination of backbone, engine, size, crop policy, resampling
rule, and versions of decoder and runtime, with a row for each picture's hash. SQLite keeps the file
intact when a build is killed or two builds write at once.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.photos.pixels.decode import DECODING
from pocketknn.builder.system.cache import Cache, key_of, mark_used

_SCHEMA = 2
# The packages that decode pictures and run each engine: other versions may round differently.
_DECODER = "pillow"
_RUNTIMES = {"litert": ("ai-edge-litert",), "keras": ("keras", "tensorflow"), "numpy": ("numpy",)}
_SECONDS_TO_WAIT = 60.0  # for another build that is writing
_TABLE = (
    "CREATE TABLE IF NOT EXISTS embeddings (picture TEXT PRIMARY KEY, vector BLOB, crc INTEGER)"
)
_KEYS_AT_ONCE = 500  # SQLite limits the number of parameters

Vector = NDArray[np.float32]


@dataclass
class Embeddings:
    """Cached embeddings of one backbone under one crop policy. A broken cache never ends a build.

    Thread-safe.

    Attributes:
        path: the SQLite file.
        dim: values per embedding.
        notes: messages about what went wrong.
    """

    path: Path
    dim: int
    notes: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    @classmethod
    def of(cls, cache: Cache | None, backbone: Backbone, crop: str) -> Embeddings | None:
        """The cached embeddings of a backbone and crop policy; None without a cache folder."""
        place = cache.drawer("embeddings") if cache else None
        if place is None:
            return None
        engine = backbone.engine
        versions = [version(package) for package in (_DECODER, *_RUNTIMES[engine.name])]
        key = key_of([_SCHEMA, backbone.identity(), engine.name, crop, DECODING, versions])
        path = place / f"{backbone.name}-{key}.sqlite"
        mark_used(path)
        return cls(path=path, dim=backbone.dim, notes=list(engine.notes))

    def get(self, hashes: Sequence[str]) -> dict[str, Vector]:
        """The known embeddings, by the sha256 of the picture file."""
        found: dict[str, Vector] = {}
        for start in range(0, len(hashes), _KEYS_AT_ONCE):
            some = hashes[start : start + _KEYS_AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"SELECT picture, vector, crc FROM embeddings WHERE picture IN ({marks})"
            for picture, vector, crc in self._run(query, some):
                # A row damaged on disk is computed again.
                if len(vector) == 4 * self.dim and zlib.crc32(vector) == crc:
                    found[picture] = np.frombuffer(vector, np.float32)
        return found

    def put(self, vectors: Mapping[str, Vector]) -> None:
        """Store embeddings (d,), by the sha256 of the picture file."""
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
                # The file may be corrupt after a power failure, but waiting for the disk at each
                # write would cost more.
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
                self._note(f"the cache {self.path} was corrupt; starting a new one")
            except OSError as error:
                self._note(
                    f"the cache {self.path} is corrupt and cannot be removed: {error.strerror}"
                )
        except OSError as error:
            self._note(f"the cache {self.path} cannot be used: {error.strerror}")
        return []

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)


def count(path: Path) -> int:
    """How many pictures an SQLite file of embeddings holds; 0 for a damaged one."""
    try:
        with closing(sqlite3.connect(path, timeout=_SECONDS_TO_WAIT)) as connection:
            (number,) = connection.execute("SELECT COUNT(*) FROM embeddings").fetchone()
    except sqlite3.DatabaseError:
        return 0
    return int(number)
