"""k-NN data sets of ml5.js and TensorFlow.js: JSON with the examples of each class."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.metrics.cosine import kept_unit
from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.photos.limits import MOST_TEXT
from pocketknn.builder.photos.readers import read_file
from pocketknn.builder.system.atomic_file import replacing
from pocketknn.builder.system.free_memory import TOO_LARGE, check_free
from pocketknn.builder.wording import counted

from .ml5_forms import checked_label, classes_in, table_of
from .references import References

# Minimum bytes of memory that Python takes besides the file: per byte of the file, per value in a
# list, and per value with a key of its own, as ml5 writes them.
_OF_BYTE, _OF_VALUE, _OF_KEY = 2, 16, 64
_UNREADABLE = "unreadable-file"
UNREAD = (TOO_LARGE, _UNREADABLE)  # codes of errors that tell nothing about the content


def read(path: Path | str, dim: int | None = None) -> References:
    """References from a data set of ml5.js or TensorFlow.js, with the vectors unchanged.

    Classes are in JavaScript's key order; rows of a class keep their order.

    Args:
        path: a JSON file in one of the forms of `ml5_forms`.
        dim: values per example, for a file without shapes.

    Raises:
        InputError: the file cannot be read, is not a usable data set, or does not fit into memory.
    """
    if dim is not None and dim < 1:
        raise InputError(f"dim must be at least 1, not {dim}", "count-too-small")
    try:
        return references_of(content_of(path), dim)
    except InputError as error:
        if error.code in UNREAD:
            raise
        raise InputError(
            f"{path} is not a k-NN data set of ml5.js or TensorFlow.js: {error}", error.code
        ) from error


def write(references: References, path: Path | str, *, unit_length: bool = False) -> None:
    """Write a data set for ml5's `KNNClassifier.load`; `read` returns the same bits.

    Rows are grouped by class. Ids, paths and classes without references are lost.

    Args:
        references: with labels.
        path: the file, which is replaced.
        unit_length: scale the vectors to length 1, as `addExample` does. A page that loads the file
            ranks by the dot product with these rows, which equals the cosine only for unit vectors.

    Raises:
        InputError: the references have no labels or unusable ones, or the file cannot be written.
    """
    if not references.labels:
        raise InputError(
            "a k-NN data set of ml5.js needs labels; these references have none", "no-labels"
        )
    vectors = references.vectors
    if unit_length:
        vectors = kept_unit(vectors).astype(np.float32)
    dataset: dict[str, Any] = {}
    tensors: list[dict[str, float]] = []
    for number, label in enumerate(references.labels):
        rows = vectors[references.label_ids == number]
        if len(rows):
            dataset[str(len(tensors))] = {
                "shape": rows.shape,
                "dtype": "float32",
                "label": checked_label(label),
            }
            tensors.append({str(i): value for i, value in enumerate(rows.ravel().tolist())})
    write_content(path, {"dataset": dataset, "tensors": tensors})


def write_content(path: Path | str, content: Mapping[str, Any]) -> None:
    """Write JSON into a file, completely or not at all.

    Raises:
        InputError: it cannot be written.
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    path = Path(path)
    try:
        with replacing(path) as made:
            made.write_text(text, "utf-8", newline="")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}", "cannot-write") from error


def content_of(path: Path | str) -> Any:  # noqa: ANN401
    """The JSON value in a file.

    Raises:
        InputError: the file cannot be read or does not fit into memory (`UNREAD`), or is not JSON.
    """
    try:
        content = _bytes(Path(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", _UNREADABLE) from error
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise InputError("it is not UTF-8", "not-utf8") from error
    except RecursionError as error:
        raise InputError("it is nested too deeply", "nested-too-deeply") from error
    except json.JSONDecodeError as error:
        raise InputError(f"it is not JSON: {first_line(error)}", "not-json") from error
    except InputError:
        raise
    except ValueError as error:  # Python's own limit
        raise InputError("a number has too many digits", "number-too-long") from error


def _bytes(path: Path) -> bytes:
    """The bytes of a file, after checking that memory suffices for them and the parsed values."""

    def check(size: int) -> None:
        check_free(f"the values of {path}", size)

    if path.is_file():
        check(path.stat().st_size * (1 + _OF_BYTE))
    content = read_file(path, MOST_TEXT)
    keys, commas = content.count(b":"), content.count(b",")
    check(len(content) * _OF_BYTE + keys * _OF_KEY + max(commas - keys, 0) * _OF_VALUE)
    return content


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise InputError(f"the key {twice[:40]!r} occurs twice", "duplicate-key")
    return found


def references_of(content: Any, dim: int | None) -> References:  # noqa: ANN401
    """The references in a JSON value; see `read`.

    Raises:
        InputError: it is not a usable data set.
    """
    classes = classes_in(content)
    if not classes:
        raise InputError("it holds no examples", "no-examples")
    tables: dict[str, NDArray[np.float32]] = {}
    for one in classes:
        label = checked_label(one.label)
        if label in tables:
            raise InputError(f"two classes have the label {label[:40]!r}", "class-listed-twice")
        try:
            table = table_of(one, dim)
        except InputError as error:
            raise InputError(f"the class {label[:40]!r}: {error}", error.code) from error
        wanted = dim or next(iter(tables.values()), table).shape[1]
        if table.shape[1] != wanted:
            raise InputError(
                f"the class {label[:40]!r} has examples of {counted(table.shape[1], 'value')},"
                f" not {wanted}",
                "width-mismatch",
            )
        tables[label] = table
    labels = [label for label, table in tables.items() for _ in table]
    return References.of(np.concatenate(list(tables.values())), labels, classes=list(tables))
