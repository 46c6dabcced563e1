"""The stored examples: an embedding each, with a label or targets, an id and a picture."""

from __future__ import annotations

import csv
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.photos.readers import check_rows

_PROVENANCE, _CLASSES, _TARGETS = (
    b"pocketknn.provenance",
    b"pocketknn.classes",
    b"pocketknn.targets",
)
_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # what a spreadsheet runs, and what says that it is text
_UNORDERED = "the references have no labels, so there is no order of classes"
_CHECK = b"pocketknn.crc32"
NOTED = _PROVENANCE  # what every table of ours notes
_NAMED = 10  # classes in a message


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Which backbone made the embeddings, and of what part of each picture.

    Attributes:
        backbone: its name, as in `Spec.backbone`.
        alpha: width of a MobileNet, or None.
        size: side of its square input in pixels.
        input_range: the pixel values the network itself wants.
        sha256: hash of its weights by value.
        crop: how a picture became a square.
    """

    backbone: str
    alpha: float | None
    size: int
    input_range: str
    sha256: str
    crop: str


@dataclass(frozen=True, kw_only=True, eq=False)
class References:
    """References of a k-NN model, in the order of the graph's columns. Never changed in place.

    Make them with `References.of`, which checks them.

    Attributes:
        vectors: (n, d) float32 as the backbone gave them, read-only. What a graph stores of them
            (unit length, projected) is the business of `fit`.
        labels: the classes in order; empty where there are none.
        label_ids: (n,) int64 class number of each row, read-only; empty where there are no labels.
        ids: one short unique name a row.
        paths: where the picture of each row was, relative to its folder; "" where there is none.
        sha256: hash of each row's picture file; "" where there is none.
        targets: (n, T) float32 numbers for regression, read-only; T is 0 where there are none.
        target_names: what each of the T numbers is.
        provenance: where the embeddings come from; None for vectors of another origin.
    """

    vectors: NDArray[np.float32]
    labels: tuple[str, ...]
    label_ids: NDArray[np.int64]
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    sha256: tuple[str, ...]
    targets: NDArray[np.float32]
    target_names: tuple[str, ...]
    provenance: Provenance | None

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
            target_names: what they are; "value" or "value 0", "value 1" and so on when None.
            provenance: where the embeddings come from.

        Raises:
            InputError: no rows, no numbers, NaN or infinite values, lengths that differ, what is
                no text, an empty label, or an id, a class or a target given twice.

        >>> References.of([[3.0, 4.0], [0.0, 2.0]], ["cat", "dog"]).counts
        {'cat': 1, 'dog': 1}
        """
        rows = _finite(embeddings, "reference")
        if 0 in rows.shape:
            raise InputError(f"references need a table (n, d) of numbers, not shape {rows.shape}")
        n = len(rows)
        columns = {
            "ids": _texts(ids, "ids") if ids is not None else tuple(map(str, range(n))),
            "paths": _texts(paths, "paths") if paths is not None else ("",) * n,
            "sha256": _texts(sha256, "sha256") if sha256 is not None else ("",) * n,
        }
        for name, column in columns.items():
            if len(column) != n:
                raise InputError(f"{len(column)} {name} for {n} references")
        if len(set(columns["ids"])) != n:
            twice = next(i for i, count in Counter(columns["ids"]).items() if count > 1)
            raise InputError(f"the id {twice!r} is given to two references")
        names, label_ids = _number(
            None if labels is None else _texts(labels, "labels"),
            None if classes is None else _texts(classes, "classes"),
            n,
        )
        numbers = _finite(np.empty((n, 0)) if targets is None else targets, "the target of row")
        if len(numbers) != n:
            raise InputError(f"{len(numbers)} rows of targets for {n} references")
        if target_names is None:
            width = numbers.shape[1]
            target_names = ["value"] if width == 1 else [f"value {i}" for i in range(width)]
        target_names = _texts(target_names, "target_names")
        if len(target_names) != numbers.shape[1]:
            raise InputError(f"{len(target_names)} names for {numbers.shape[1]} targets")
        if len(set(target_names)) < len(target_names):
            raise InputError(f"a target is named twice: {', '.join(map(repr, target_names))}")
        for array in (rows, label_ids, numbers):
            array.flags.writeable = False
        return cls(
            vectors=rows,
            labels=names,
            label_ids=label_ids,
            targets=numbers,
            target_names=target_names,
            provenance=provenance,
            **columns,
        )

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
        """Pairs of paths, or ids where there are none, of a picture under different labels."""
        return [(self._called(one), self._called(other)) for one, other in self.contradicting()]

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
        """The references of some rows, in that order; classes that lose all of theirs go.

        Raises:
            InputError: no row is left.
        """
        chosen = np.asarray(rows, np.int64)
        if not len(chosen):
            raise InputError("no reference would be left")
        labels = [self.label_of(row) for row in chosen] if self.labels else None
        left = set(labels or ())
        return References.of(
            self.vectors[chosen],
            labels,
            classes=[name for name in self.labels if name in left] if labels else None,
            ids=[self.ids[row] for row in chosen],
            paths=[self.paths[row] for row in chosen],
            sha256=[self.sha256[row] for row in chosen],
            targets=self.targets[chosen],
            target_names=self.target_names,
            provenance=self.provenance,
        )

    def without_names(self) -> References:
        """The references without their paths, which may tell of people; their ids stay."""
        return replace(self, paths=("",) * len(self))

    def without_copies(self) -> References:
        """The references whose picture no earlier one has, where the pictures are known."""
        seen: set[str] = set()
        rows = []
        for row, value in enumerate(self.sha256):
            if value not in seen:
                rows.append(row)
            if value:
                seen.add(value)
        return self.select(rows)

    def in_order(self, classes: Sequence[str]) -> References:
        """With the classes in another order, which may name more of them.

        Raises:
            InputError: a class that has references is not named, or there are no labels.
        """
        if not self.labels:
            raise InputError(_UNORDERED)
        labels = [self.label_of(row) for row in range(len(self))]
        names, label_ids = _number(labels, classes, len(self))
        label_ids.flags.writeable = False
        return replace(self, labels=names, label_ids=label_ids)

    def remove(self, ids: Sequence[str] = (), classes: Sequence[str] = ()) -> References:
        """Without the references of these ids and of these classes.

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
        """With classes renamed; two that get one name become one class.

        Args:
            names: old name to new name.

        Raises:
            InputError: there is no such class, or the new name is empty.
        """
        self.check_there(classes=names)
        for old, new in names.items():
            if not new:
                raise InputError(f"the class {old!r} needs a name")
        renamed = [names.get(label, label) for label in self.labels]
        classes = list(dict.fromkeys(renamed))
        number = np.array([classes.index(label) for label in renamed], np.int64)
        label_ids = number[self.label_ids]
        label_ids.flags.writeable = False
        return replace(self, labels=tuple(classes), label_ids=label_ids)

    def relabel_rows(self, ids: Sequence[str], label: str) -> References:
        """With the references of these ids put into a class, which may be new.

        Raises:
            InputError: there is no such id, the references have no labels, or the label is empty.
        """
        if not self.labels or not label:
            raise InputError("the references have no labels" if label else "a label is empty")
        self.check_there(ids)
        moved = set(ids)
        labels = [label if self.ids[i] in moved else self.label_of(i) for i in range(len(self))]
        classes = [name for name in dict.fromkeys([*self.labels, label]) if name in set(labels)]
        names, label_ids = _number(labels, classes, len(self))
        label_ids.flags.writeable = False
        return replace(self, labels=names, label_ids=label_ids)

    def merge(self, other: References) -> References:
        """These references and behind them the other ones; an id that is taken gets -2, -3, ….

        Where none of these has a path, they were left out, and those of the others are as well.

        Raises:
            InputError: they differ in width, backbone, crop or targets, or only one has labels.
        """
        if self.provenance != other.provenance:
            raise InputError(
                "the references were embedded in different ways:"
                f" {_described(self.provenance)} and {_described(other.provenance)}"
            )
        if self.dim != other.dim:
            raise InputError(f"one has vectors of {self.dim} values, the other of {other.dim}")
        if bool(self.labels) != bool(other.labels):
            raise InputError("only one of the two has labels")
        if self.target_names != other.target_names:
            named = [", ".join(one.target_names) or "none" for one in (self, other)]
            raise InputError(f"the targets differ: {named[0]} and {named[1]}")
        both = (self, other if any(self.paths) else other.without_names())
        return References.of(
            np.concatenate([one.vectors for one in both]),
            [one.label_of(row) for one in both for row in range(len(one))] if self.labels else None,
            classes=list(dict.fromkeys([*self.labels, *other.labels])) or None,
            ids=_told_apart([*self.ids, *other.ids]),
            paths=[path for one in both for path in one.paths],
            sha256=[*self.sha256, *other.sha256],
            targets=np.concatenate([one.targets for one in both]),
            target_names=self.target_names,
            provenance=self.provenance,
        )

    def _called(self, row: int) -> str:
        return self.paths[row] or self.ids[row]

    def check_there(self, ids: Iterable[str] = (), classes: Iterable[str] = ()) -> None:
        """Refuse ids and classes that no reference has.

        Raises:
            InputError: there is one.
        """
        known = set(self.ids)
        for one in ids:
            if one not in known:
                raise InputError(f"there is no id {one!r} among the references")
        for name in classes:
            if name not in self.labels:
                there = ", ".join(self.labels[:_NAMED]) or "none"
                more = ", …" if len(self.labels) > _NAMED else ""
                raise InputError(f"there is no class {name!r}; the classes are: {there}{more}")

    def save(self, path: Path | str) -> None:
        """Write them as Parquet; row i is the graph's column i.

        Columns: id, path, label, sha256, embedding, and "target: NAME" for each target. The
        schema's metadata keep the order of the classes, the provenance, and a checksum of all this,
        which a program that changes the table has to leave out.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        flat = pa.array(self.vectors.reshape(-1))
        columns = {
            "id": pa.array(self.ids, pa.string()),
            "path": pa.array(self.paths, pa.string()),
            "label": pa.array(
                [self.label_of(row) or None for row in range(len(self))], pa.string()
            ),
            "sha256": pa.array(self.sha256, pa.string()),
            "embedding": pa.FixedSizeListArray.from_arrays(flat, self.dim),
        }
        for name, numbers in zip(self.target_names, self.targets.T, strict=True):
            columns[f"target: {name}"] = pa.array(numbers)
        origin = asdict(self.provenance) if self.provenance else None
        notes: dict[bytes, Any] = {
            _PROVENANCE: origin,
            _CLASSES: self.labels,
            _TARGETS: self.target_names,
            _CHECK: self._checksum(),
        }
        table = pa.table(columns).replace_schema_metadata(
            {key: json.dumps(value) for key, value in notes.items()}
        )
        # In "s3:r.parquet" pyarrow would see an address.
        pq.write_table(table, Path(path).absolute())

    @classmethod
    def load(cls, path: Path | str) -> References:
        """Read what `save` wrote, of this version or an earlier one, which noted no checksum.

        Raises:
            InputError: the file is no table of references, or is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            check_rows(Path(path))
            schema = pq.read_schema(Path(path).absolute())
            kind = schema.field("embedding").type if "embedding" in schema.names else None
            if kind and not (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)):
                raise InputError(f"its column embedding holds {kind}, not lists of numbers")
            table = pq.read_table(Path(path).absolute())
            if not table.num_rows:
                raise InputError("it holds no references")
            vectors = np.stack(table["embedding"].to_numpy())
            columns = {
                name: table[name].cast(pa.string()).fill_null("").to_pylist()
                for name in ("id", "path", "label", "sha256")
            }
            notes = {
                k: json.loads(v)
                for k, v in (table.schema.metadata or {}).items()
                if k in (_PROVENANCE, _CLASSES, _TARGETS, _CHECK)
            }
            names = _names(notes.get(_TARGETS), "targets") or []
            targets = [table[f"target: {name}"].to_numpy() for name in names]
            classes = _names(notes.get(_CLASSES), "classes")
            labelled = any(columns["label"])
            found = cls.of(
                vectors,
                columns["label"] if labelled else None,
                classes=classes if labelled else None,
                ids=columns["id"],
                paths=columns["path"],
                sha256=columns["sha256"],
                targets=np.stack(targets, axis=1) if targets else None,
                target_names=names or None,
                provenance=_origin(notes.get(_PROVENANCE)),
            )
            if _CHECK in notes and notes[_CHECK] != found._checksum():
                raise InputError(
                    "it is damaged, or was changed by a program that left its checksum as it was"
                )
            return found
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: its metadata are no JSON: {first_line(error)}") from error
        except (
            pa.ArrowException,
            KeyError,
            AttributeError,
            ValueError,
            TypeError,
            RecursionError,
            OSError,
        ) as error:
            reason = first_line(error).strip("'")  # as KeyError puts them around a whole sentence
            raise InputError(f"{path} is no table of references: {reason}") from error

    @staticmethod
    def origin(path: Path | str) -> Provenance | None:
        """Where the embeddings in a file that `save` wrote come from; they themselves stay there.

        Raises:
            InputError: the file is no table of references.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            noted = pq.read_schema(Path(path).absolute()).metadata or {}
            return _origin(json.loads(noted.get(_PROVENANCE, "null")))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except (pa.ArrowException, ValueError, RecursionError, OSError) as error:
            raise InputError(f"{path} is no table of references: {first_line(error)}") from error

    def _checksum(self) -> int:
        """Of all that is kept: Parquet's own checksums leave out dictionaries and metadata."""
        origin = asdict(self.provenance) if self.provenance else None
        labels = [self.labels, self.label_ids.tolist(), self.target_names]
        said = json.dumps([self.ids, self.paths, self.sha256, *labels, origin])
        check = zlib.crc32(said.encode())
        for numbers in (self.vectors, self.targets):
            check = zlib.crc32(np.ascontiguousarray(numbers).data, check)
        return check

    def table(self) -> str:
        """What an app needs to turn an index into a picture: CSV of index, id, label, path.

        The texts are `guarded`.
        """
        from io import StringIO

        text = StringIO()
        text.write("index,id,label,path\n")
        # All texts in quotes: a lone carriage return in a name would go unquoted otherwise.
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        for row in range(len(self)):
            texts = (self.ids[row], self.label_of(row), self.paths[row])
            writer.writerow((row, *map(guarded, texts)))
        return text.getvalue()


def guarded(text: str) -> str:
    """A text for a table that a spreadsheet may open, which would run it if it were a formula.

    >>> guarded("=1+1"), guarded("'tis"), guarded("'=1+1")
    ("'=1+1", "'tis", "''=1+1")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """What `guarded` was given; a text that it never wrote is left as it is."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


def _finite(values: ArrayLike, what: str) -> NDArray[np.float32]:
    """A table of finite float32 numbers; a single column may come flat."""
    try:
        given = np.asarray(values)
        if given.dtype.kind not in "biufO":  # of complex numbers, dates and texts it would be quiet
            raise TypeError(f"{given.dtype} is no number")
        with np.errstate(over="ignore"):
            rows = given if _is_fixed(given) else np.array(given, np.float32)
    except OverflowError as error:
        raise InputError(f"{what}: a number is too large for float32") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: not a table of numbers") from error
    if rows.ndim == 1 and what != "reference":
        rows = rows[:, None]
    if rows.ndim != 2:
        raise InputError(f"references need a table (n, d) of numbers, not shape {rows.shape}")
    if not np.isfinite(rows).all():
        bad = int(np.argmin(np.isfinite(rows).all(axis=1)))
        raise InputError(f"{what} {bad} holds a NaN or infinite value")
    return rows


def _is_fixed(given: NDArray[Any]) -> bool:
    """Whether numbers are as references hold them, and nobody can change them."""
    part: Any = given
    while isinstance(part, np.ndarray) and not part.flags.writeable:
        part = part.base
    whole = part is None and given.flags.c_contiguous
    return whole and given.dtype == np.float32


def _texts(values: Sequence[str], what: str) -> tuple[str, ...]:
    """A list of texts, without numpy's own kind of them."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{what} are a list of texts, not {values!r:.40}")
    texts = tuple(values)
    for row, one in enumerate(texts):
        if one is None and what == "labels":
            raise InputError(f"a label is empty: that of reference {row}")
        if not isinstance(one, str):
            raise InputError(f"{what} are texts, but number {row} is {one!r:.40}")
    return tuple(map(str, texts))


def _told_apart(ids: Sequence[str]) -> list[str]:
    """The same ids, where one that was there before gets the first free of -2, -3, …."""
    taken: set[str] = set()
    found = []
    for one in ids:
        name, number = one, 1
        while name in taken:
            number += 1
            name = f"{one}-{number}"
        taken.add(name)
        found.append(name)
    return found


def _names(noted: Any, what: str) -> list[str] | None:  # noqa: ANN401
    if noted is None or (isinstance(noted, list) and all(isinstance(one, str) for one in noted)):
        return noted
    raise InputError(f"its {what} are not noted as a list of names")


def _origin(noted: Any) -> Provenance | None:  # noqa: ANN401
    """The provenance that a file notes."""
    if noted is None:
        return None
    kinds = get_type_hints(Provenance)
    if isinstance(noted, dict) and set(noted) == set(kinds):
        # JSON and people write 1 for 1.0.
        fits = {name: kind if kind is str else kind | int for name, kind in kinds.items()}
        if all(isinstance(noted[name], kind) for name, kind in fits.items()):
            return Provenance(**noted)
    raise InputError("what it notes of its backbone is damaged, or of a later pocketknn")


def _described(provenance: Provenance | None) -> str:
    if provenance is None:
        return "vectors of unknown origin"
    return (
        f"{provenance.backbone} at {provenance.size} ({provenance.sha256[:12]}, {provenance.crop})"
    )


def _number(
    labels: Sequence[str] | None, classes: Sequence[str] | None, n: int
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    if labels is None:
        if classes:
            raise InputError(_UNORDERED)
        return (), np.empty(0, np.int64)
    if len(labels) != n:
        raise InputError(f"{len(labels)} labels for {n} references")
    if not all(labels):
        raise InputError(
            f"a label is empty: that of reference {list(map(bool, labels)).index(False)}"
        )
    names = tuple(classes) if classes is not None else tuple(sorted(set(labels)))
    number = {name: i for i, name in enumerate(names)}
    if len(number) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise InputError(f"the class {twice!r} is listed twice")
    missing = sorted(set(labels) - set(number))
    if missing:
        raise InputError(f"the class {missing[0]!r} is not in the list of classes")
    return names, np.array([number[label] for label in labels], np.int64)
