"""The stored examples; each is an embedding with a label or targets, an id and a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from pocketknn.builder.backbones.provenance import Provenance
from pocketknn.builder.errors import InputError

from . import csv_table, parquet
from .columns import (
    UNORDERED,
    Columns,
    check_ids,
    classes_of,
    rows_of,
    target_names_of,
    texts_of,
    told_apart,
)

_NAMED = 10  # classes in a message


@dataclass(frozen=True, kw_only=True, eq=False)
class References(Columns):
    """References of a k-NN model, in the order of the graph's columns. Never changed in place.

    Make them with `References.of`, which checks them.

    Attributes:
        vectors: (n, d) float32 backbone output, read-only. `fit` derives from them what a graph
            stores (unit length, projected).
        labels: the classes in order; empty if there are none.
        label_ids: (n,) int64 class number of each row, read-only; empty if there are no labels.
        ids: a short unique name for each row.
        paths: where the picture of each row was, relative to its folder; "" if there is none.
        sha256: hash of each row's picture file; "" if there is none.
        targets: (n, T) float32 numbers for regression, read-only; T is 0 if there are none.
        target_names: the name of each target.
        provenance: where the embeddings come from; None for vectors of another origin.
        occasions: the occasion on which each picture was taken: photos of one walk, shop or video
            share a name, and are held out together in every measurement. "" for a single photo.
    """

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
        targets: ArrayLike | None = None,
        target_names: Sequence[str] | None = None,
        provenance: Provenance | None = None,
        occasions: Sequence[str] | None = None,
    ) -> References:
        """References from embeddings (n, d).

        Args:
            embeddings: (n, d) numbers, finite in float32.
            labels: the class of each row, or None for image search without classes.
            classes: the order of the classes; sorted by name when None.
            ids: unique names; the row numbers when None.
            paths: where each picture was.
            sha256: hash of each picture.
            targets: (n, T) or (n,) finite numbers, for regression.
            target_names: their names; "value" or "value 0", "value 1" and so on when None.
            provenance: where the embeddings come from.
            occasions: the occasion on which each picture was taken; "" for a single photo.

        Raises:
            InputError: no rows, no numbers, NaN or infinite values, lengths that differ, names
                that are not strings, an empty label, or a repeated id, class or target name.

        >>> References.of([[3.0, 4.0], [0.0, 2.0]], ["cat", "dog"]).counts
        {'cat': 1, 'dog': 1}
        """
        rows = rows_of(embeddings, "reference")
        if 0 in rows.shape:
            raise InputError(
                f"references need a table (n, d) of numbers, not shape {rows.shape}",
                "not-a-number-table",
            )
        n = len(rows)
        ids = texts_of(tuple(map(str, range(n))) if ids is None else ids, "ids", n)
        check_ids(ids)
        names, label_ids = classes_of(labels, classes, n)
        numbers = rows_of(np.empty((n, 0)) if targets is None else targets, "the target of row")
        if len(numbers) != n:
            raise InputError(f"the number of targets is {len(numbers)}, not {n}", "length-mismatch")
        return cls(
            vectors=rows,
            labels=names,
            label_ids=label_ids,
            ids=ids,
            paths=texts_of(paths, "paths", n),
            sha256=texts_of(sha256, "sha256", n),
            targets=numbers,
            target_names=target_names_of(target_names, numbers.shape[1]),
            provenance=provenance,
            occasions=texts_of(occasions, "occasions", n),
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many references each class has, in the order of the classes."""
        numbers = np.bincount(self.label_ids, minlength=len(self.labels))
        return dict(zip(self.labels, map(int, numbers), strict=True))

    def duplicates(self) -> int:
        """How many references show the same picture as an earlier one."""
        hashes = [value for value in self.sha256 if value]
        return len(hashes) - len(set(hashes))

    def contradictions(self) -> list[tuple[str, str]]:
        """Pairs of paths (ids if there are none) of one picture under different labels."""
        return [(self.called(one), self.called(other)) for one, other in self.contradicting()]

    def contradicting(self) -> list[tuple[int, int]]:
        """Pairs of rows that are the same picture under different labels."""
        first: dict[str, int] = {}
        pairs = []
        for row, value in enumerate(self.sha256 if self.labels else ()):
            other = first.setdefault(value, row)
            if value and self.label_ids[other] != self.label_ids[row]:
                pairs.append((other, row))
        return pairs

    def select(self, rows: ArrayLike) -> References:
        """The references of some rows, in that order; classes left empty are dropped.

        Raises:
            InputError: no row is left.
        """
        if not len(chosen := np.asarray(rows, np.int64)):
            raise InputError("no reference would be left", "no-references")
        vectors, targets = self.vectors[chosen], self.targets[chosen]
        numbers = self.label_ids[chosen] if self.labels else self.label_ids
        left, label_ids = np.unique(numbers, return_inverse=True)
        for column in (vectors, targets, label_ids):
            column.flags.writeable = False
        wanted, texts = chosen.tolist(), (self.ids, self.paths, self.sha256, self.occasions)
        ids, paths, sha256, occasions = (tuple(map(one.__getitem__, wanted)) for one in texts)
        check_ids(ids)
        return replace(  # the values are checked already
            self,
            vectors=vectors,
            labels=tuple(self.labels[number] for number in left),
            label_ids=label_ids,
            ids=ids,
            paths=paths,
            sha256=sha256,
            targets=targets,
            occasions=occasions,
        )

    def subset(self, rows: ArrayLike) -> References:
        """Like `select`, but with all classes in their order, even empty ones."""
        chosen = self.select(rows)
        return chosen.in_order(self.labels) if self.labels else chosen

    def without_names(self) -> References:
        """The references without their paths, which may reveal people; their ids stay.

        Occasions, whose names may reveal places, are renamed to a hash prefix.
        """
        occasions = tuple(
            one and hashlib.sha256(one.encode()).hexdigest()[:12] for one in self.occasions
        )
        return replace(self, paths=("",) * len(self), occasions=occasions)

    def without_copies(self) -> References:
        """The first reference of each picture, and all references without a hash."""
        seen: set[str] = set()
        rows = []
        for row, value in enumerate(self.sha256):
            if not value or value not in seen:
                rows.append(row)
            seen.add(value)
        return self.select(rows)

    def in_order(self, classes: Sequence[str]) -> References:
        """The references with their classes in another order, which may include new ones.

        Raises:
            InputError: a class with references is missing, or there are no labels.
        """
        if not self.labels:
            raise InputError(UNORDERED, "classes-without-labels")
        return self._labelled([self.label_of(row) for row in range(len(self))], classes)

    def remove(self, ids: Sequence[str] = (), classes: Sequence[str] = ()) -> References:
        """The references, except those with these ids or in these classes.

        Raises:
            InputError: there is no such id or class, or no reference would be left.
        """
        self.check_there(ids, classes)
        gone = set(ids)
        return self.select(
            [
                row
                for row in range(len(self))
                if self.ids[row] not in gone and self.label_of(row) not in classes
            ]
        )

    def relabel(self, names: Mapping[str, str]) -> References:
        """The references with classes renamed; two given the same name become one class.

        Args:
            names: old name to new name.

        Raises:
            InputError: there is no such class, or the new name is empty.
        """
        self.check_there(classes=names)
        for old, new in names.items():
            if not new:
                raise InputError(f"the new name of the class {old!r} is empty", "empty-label")
        renamed = [names.get(label, label) for label in self.labels]
        labels = [renamed[number] for number in self.label_ids]
        return self._labelled(labels, list(dict.fromkeys(renamed)))

    def relabel_rows(self, ids: Sequence[str], label: str) -> References:
        """The references, with these ids moved to one class, which may be a new one.

        Raises:
            InputError: there is no such id, the references have no labels, or the label is empty.
        """
        if not label:
            raise InputError("a label is empty", "empty-label")
        if not self.labels:
            raise InputError("the references have no labels", "no-labels")
        self.check_there(ids)
        moved = set(ids)
        labels = [label if self.ids[i] in moved else self.label_of(i) for i in range(len(self))]
        classes = [name for name in dict.fromkeys([*self.labels, label]) if name in set(labels)]
        return self._labelled(labels, classes)

    def _labelled(self, labels: Sequence[str], classes: Sequence[str]) -> References:
        names, label_ids = classes_of(labels or None, classes, len(self))
        return replace(self, labels=names, label_ids=label_ids)

    def merge(self, other: References) -> References:
        """These references followed by the others; an id that is taken gets -2, -3, ….

        If none of these has a path, the paths of the others are dropped too.

        Raises:
            InputError: they differ in width, backbone, crop or targets, or only one has labels.
        """
        if self.provenance != other.provenance:
            origins = [str(one.provenance or "vectors of unknown origin") for one in (self, other)]
            raise InputError(
                f"embedded in different ways: {origins[0]} and {origins[1]}", "provenance-mismatch"
            )
        if self.dim != other.dim:
            raise InputError(
                f"one has vectors of {self.dim} values, the other of {other.dim}", "width-mismatch"
            )
        if bool(self.labels) != bool(other.labels):
            raise InputError("only one of the two has labels", "labels-mismatch")
        if self.target_names != other.target_names:
            named = [", ".join(one.target_names) or "none" for one in (self, other)]
            raise InputError(f"the targets differ: {named[0]} and {named[1]}", "targets-mismatch")
        both = (self, other if any(self.paths) else other.without_names())
        return References.of(
            np.concatenate([one.vectors for one in both]),
            [one.label_of(row) for one in both for row in range(len(one))] if self.labels else None,
            classes=list(dict.fromkeys([*self.labels, *other.labels])) or None,
            ids=told_apart([*self.ids, *other.ids]),
            paths=[path for one in both for path in one.paths],
            sha256=[*self.sha256, *other.sha256],
            targets=np.concatenate([one.targets for one in both]),
            target_names=self.target_names,
            provenance=self.provenance,
            occasions=[one.occasions[row] for one in both for row in range(len(one))],
        )

    def called(self, row: int) -> str:
        """The path of a reference, or its id if it has none."""
        return self.paths[row] or self.ids[row]

    def check_there(self, ids: Iterable[str] = (), classes: Iterable[str] = ()) -> None:
        """Check that these ids and classes exist.

        Raises:
            InputError: an id or class does not exist.
        """
        known = set(self.ids)
        for one in ids:
            if one not in known:
                raise InputError(f"there is no id {one!r} among the references", "unknown-id")
        for name in classes:
            if name not in self.labels:
                names = ", ".join(self.labels[:_NAMED]) or "none"
                names += ", …" if len(self.labels) > _NAMED else ""
                raise InputError(f"no class {name!r}; the classes are: {names}", "unknown-class")

    def save(self, path: Path | str) -> None:
        """Write them as Parquet; row i is the graph's column i.

        Columns: id, path, label, sha256, embedding, "target: NAME" for each target, and occasion
        if there are any. The schema's metadata holds the order of the classes, the provenance, and
        a checksum of all this. A program that changes the table must remove the checksum.
        """
        parquet.write(path, self)

    @classmethod
    def load(cls, path: Path | str, *, vectors: bool = True) -> References:
        """Read a file written by `save` in this version, or in an earlier one without checksums.

        Args:
            path: the file.
            vectors: read the vectors; otherwise they are zeros, which take no memory.

        Raises:
            InputError: it is damaged, not a table of references, or too large for memory.
        """
        return parquet.read(path, cls.of, vectors=vectors)

    @staticmethod
    def origin(path: Path | str) -> Provenance | None:
        """The provenance of the embeddings in a file written by `save`, without reading them.

        Raises:
            InputError: the file is not a table of references.
        """
        return parquet.origin(path)

    def table(self) -> str:
        """CSV of index, id, label, path, by which an app maps an index to a picture.

        Texts that a spreadsheet would run as formulas get a leading quote.
        """
        return csv_table.table(self)
