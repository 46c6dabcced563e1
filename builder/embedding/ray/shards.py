"""Parquet shards: each holds the embeddings of a batch of pictures, and is complete or absent.

The name of a shard is a hash of everything that determines its content, so that an existing shard
can be reused, but never for a picture that has changed. Its columns are path, sha256, embedding (if
the picture was embedded), reason (if it was not), and unread.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.backbones.backbone import Backbone
from pocketknn.builder.embedding.embedded import Done, Outcome
from pocketknn.builder.errors import InputError
from pocketknn.builder.photos.photo import Photo, PictureError, UnreadError
from pocketknn.builder.photos.pixels.decode import DECODING
from pocketknn.builder.photos.readers import LocalFile, RemoteFile
from pocketknn.builder.system.cache import key_of, mark_used

from .connection import versions

if TYPE_CHECKING:
    import pyarrow as pa

TOGETHER = 128  # pictures per shard: at most a second of work for a core, 650 kB of embeddings
_SCHEMA = 1
_IN_MEMORY = "memory://"
_CHECK = b"pocketknn.crc32"


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Some pictures, and the name of the file with their embeddings."""

    name: str
    photos: tuple[Photo, ...]


def cut(photos: Sequence[Photo], backbone: Backbone, crop: str) -> list[Shard]:
    """Split pictures into shards, in order.

    Raises:
        InputError: another process could not read a picture.
    """
    made_by = [_SCHEMA, backbone.identity(), backbone.engine.name, crop, DECODING, versions()]
    shards = []
    for start in range(0, len(photos), TOGETHER):
        part = tuple(photos[start : start + TOGETHER])
        key = key_of([*made_by, [_stamp(photo) for photo in part]])
        shards.append(Shard(name=f"{backbone.name}-{key}.parquet", photos=part))
    return shards


def encode(photos: Sequence[Photo], outcomes: Sequence[Outcome], dim: int) -> bytes:
    """A shard's file.

    Args:
        photos: the pictures.
        outcomes: the outcome for each.
        dim: values per embedding.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    done = [one if isinstance(one, Done) else None for one in outcomes]
    columns = {
        "path": pa.array([photo.name for photo in photos], pa.string()),
        "sha256": pa.array([one and one.sha256 for one in done], pa.string()),
        "reason": pa.array(
            [None if isinstance(one, Done) else str(one) for one in outcomes], pa.string()
        ),
        "unread": pa.array([isinstance(one, UnreadError) for one in outcomes]),
        "embedding": pa.array([one and one.embedding for one in done], pa.list_(pa.float32(), dim)),
    }
    table = pa.table(columns)
    check = str(_checksum(*_columns(table))).encode()
    stream = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_CHECK: check}), stream)
    return stream.getvalue()


def decode(content: bytes, photos: Sequence[Photo]) -> list[Outcome] | None:
    """The outcome for each picture; None if the file is damaged, or holds other pictures."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
        texts, rows = _columns(table)
        check = int(table.schema.metadata[_CHECK])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        return None
    if _checksum(texts, rows) != check or texts[0] != [photo.name for photo in photos]:
        return None
    return [
        Done(sha256, row) if sha256 else (UnreadError if unread else PictureError)(reason)
        for _, sha256, reason, unread, row in zip(*texts, rows, strict=True)
    ]


def load(path: Path, photos: Sequence[Photo]) -> list[Outcome] | None:
    """The outcomes from a cached shard; None if it is missing or damaged."""
    try:
        mark_used(path)
        return decode(path.read_bytes(), photos)
    except OSError:
        return None


def _columns(table: pa.Table) -> tuple[list[list[Any]], NDArray[np.float32]]:
    """Path, sha256, reason and unread; and the embeddings (n, d), NaN if missing."""
    vectors = table["embedding"].combine_chunks().values
    rows = np.asarray(vectors, np.float32).reshape(len(table), -1)
    return [table[name].to_pylist() for name in ("path", "sha256", "reason", "unread")], rows


def _checksum(texts: list[list[Any]], rows: NDArray[np.float32]) -> int:
    """Checksum of all columns: Parquet's own checksums cover only data pages."""
    return zlib.crc32(rows.tobytes(), zlib.crc32(json.dumps(texts).encode()))


def _stamp(photo: Photo) -> str:
    if isinstance(photo.content, RemoteFile) and photo.content.address.startswith(_IN_MEMORY):
        raise InputError(
            f"{photo.name} is in the memory of this process, which a cluster cannot read; use the"
            " local engine",
            "unreachable-for-cluster",
        )
    if not isinstance(photo.content, LocalFile | RemoteFile):
        raise InputError(
            f"{photo.name} is in an archive, which a cluster cannot read; unpack it into a folder,"
            " or omit --engine ray",
            "unreachable-for-cluster",
        )
    return photo.content.stamp()
