"""The stored examples: unit vectors with a label, an id and a picture each."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .neighbors import unit

_ROUNDING = 1e-6  # a unit vector's length in float32 is off by less, whatever d


@dataclass(frozen=True, kw_only=True, eq=False)
class References:
    """References of a k-NN model, in the order of the graph's columns. Never changed in place.

    Make them with `References.of`; it checks and normalises.

    Attributes:
        vectors: (n, d) float32, each of length 1 (a zero embedding stays zero), read-only.
        labels: the classes in order; empty where there are none.
        label_ids: (n,) int64 class number of each row, read-only; empty where there are no labels.
        ids: one short unique name a row.
        paths: where the picture of each row was, relative to its folder; "" where there is none.
        sha256: hash of each row's picture file; "" where there is none.
    """

    vectors: NDArray[np.float32]
    labels: tuple[str, ...]
    label_ids: NDArray[np.int64]
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    sha256: tuple[str, ...]

    @classmethod
    def of(
        cls,
        embeddings: ArrayLike,
        labels: Sequence[str] | None = None,
        *,
        classes: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
        paths: Sequence[str] | None = None,
        sha256: Sequence[str] | None = None,
    ) -> References:
        """References from embeddings (n, d), scaled to unit length here.

        Args:
            embeddings: (n, d) finite numbers; rows that have unit length stay as they are.
            labels: the class of each row, or None for image search without classes.
            classes: the order of the classes; sorted by name when None.
            ids: unique names; the row numbers when None.
            paths: where each picture was.
            sha256: hash of each picture.

        Raises:
            InputError: no rows, NaN or infinite values, lengths that differ, ids given twice.

        >>> References.of([[3.0, 4.0], [0.0, 2.0]], ["cat", "dog"]).vectors.tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 1.0]]
        """
        rows = np.asarray(embeddings)
        if rows.ndim != 2 or 0 in rows.shape:
            raise InputError(f"references need a table (n, d) of numbers, not shape {rows.shape}")
        if not np.isfinite(rows).all():
            bad = int(np.argmin(np.isfinite(rows).all(axis=1)))
            raise InputError(f"reference {bad} holds a NaN or infinite value")
        n = len(rows)
        columns = {
            "ids": tuple(ids) if ids is not None else tuple(map(str, range(n))),
            "paths": tuple(paths) if paths is not None else ("",) * n,
            "sha256": tuple(sha256) if sha256 is not None else ("",) * n,
        }
        for name, column in columns.items():
            if len(column) != n:
                raise InputError(f"{len(column)} {name} for {n} references")
        if len(set(columns["ids"])) != n:
            twice = next(i for i, count in Counter(columns["ids"]).items() if count > 1)
            raise InputError(f"the id {twice!r} is given to two references")
        names, label_ids = _number(labels, classes, n)
        vectors = _unit_length(rows)
        vectors.flags.writeable = label_ids.flags.writeable = False
        return cls(vectors=vectors, labels=names, label_ids=label_ids, **columns)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        """Length d of an embedding."""
        return int(self.vectors.shape[1])

    @property
    def counts(self) -> dict[str, int]:
        """How many references each class has, in the order of the classes."""
        numbers = np.bincount(self.label_ids, minlength=len(self.labels))
        return dict(zip(self.labels, map(int, numbers), strict=True))

    def label_of(self, row: int) -> str:
        """The class of a row; "" where there are no labels."""
        return self.labels[self.label_ids[row]] if self.labels else ""

    def duplicates(self) -> int:
        """How many references are the same picture as an earlier one."""
        hashes = [value for value in self.sha256 if value]
        return len(hashes) - len(set(hashes))

    def contradictions(self) -> list[tuple[str, str]]:
        """Pairs of paths that hold the same picture under different labels."""
        first: dict[str, int] = {}
        pairs = []
        for row, value in enumerate(self.sha256 if self.labels else ()):
            other = first.setdefault(value, row)
            if value and self.label_ids[other] != self.label_ids[row]:
                pairs.append((self.paths[other], self.paths[row]))
        return pairs

    def save(self, path: Path) -> None:
        """Write id, path, label, sha256 and embedding as Parquet; row i is the graph's column i."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        flat = pa.array(self.vectors.reshape(-1))
        table = pa.table(
            {
                "id": pa.array(self.ids, pa.string()),
                "path": pa.array(self.paths, pa.string()),
                "label": pa.array(
                    [self.label_of(row) or None for row in range(len(self))], pa.string()
                ),
                "sha256": pa.array(self.sha256, pa.string()),
                "embedding": pa.FixedSizeListArray.from_arrays(flat, self.dim),
            }
        )
        pq.write_table(table, path)

    @classmethod
    def load(cls, path: Path, classes: Sequence[str] | None = None) -> References:
        """Read what `save` wrote.

        Args:
            path: a Parquet file.
            classes: the order of the classes; sorted by name when None.

        Raises:
            InputError: the file is no table of references.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
            embedding = table["embedding"].combine_chunks()
            vectors = embedding.flatten().to_numpy().reshape(len(table), -1)
            columns = {c: table[c].to_pylist() for c in ("id", "path", "label", "sha256")}
        except (pa.ArrowException, KeyError, AttributeError, ValueError, OSError) as error:
            raise InputError(f"{path} is no table of references: {error}") from error
        labelled = any(label is not None for label in columns["label"])
        return cls.of(
            vectors,
            columns["label"] if labelled else None,
            classes=classes,
            ids=columns["id"],
            paths=columns["path"],
            sha256=columns["sha256"],
        )

    def table(self) -> str:
        """What an app needs to turn an index into a picture: CSV of index, id, label, path."""
        from io import StringIO

        text = StringIO()
        text.write("index,id,label,path\n")
        # All texts in quotes: a lone carriage return in a name would go unquoted otherwise.
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        for row in range(len(self)):
            writer.writerow((row, self.ids[row], self.label_of(row), self.paths[row]))
        return text.getvalue()


def _unit_length(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of length 1 in float32. Scaling twice would flip last bits, so it is done once only."""
    with np.errstate(over="ignore"):
        lengths = np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    return np.where(np.abs(lengths - 1) <= _ROUNDING, rows, unit(rows)).astype(np.float32)


def _number(
    labels: Sequence[str] | None, classes: Sequence[str] | None, n: int
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    if labels is None:
        return (), np.empty(0, np.int64)
    if len(labels) != n:
        raise InputError(f"{len(labels)} labels for {n} references")
    names = tuple(classes) if classes is not None else tuple(sorted(set(labels)))
    number = {name: i for i, name in enumerate(names)}
    missing = sorted(set(labels) - set(number))
    if missing:
        raise InputError(f"the class {missing[0]!r} is not in the list of classes")
    return names, np.array([number[label] for label in labels], np.int64)
