"""k-NN data sets of ml5.js and TensorFlow.js: JSON with the examples of each class.

ml5's `KNNClassifier.save` writes (ml5-library up to 0.12, `src/KNNClassifier/index.js`)

    {"dataset": {"0": {"shape": [n, d], "label": "cat", …}, …}, "tensors": [{"0": 0.1, …}, …]}

where the tensor of a class stands at the place its key has in JavaScript's `Object.keys`.
`KNNClassifier` of @tensorflow-models/knn-classifier has no `save`. Its users write what its
`getClassifierDataset` gives (github.com/tensorflow/tfjs, issue 633) as one of

    [["cat", [0.1, …], [n, d]], …]                              the most common
    [{"classId": 0, "data": [0.1, …], "shape": [n, d]}, …]      or "label", "classIndex"
    {"cat": {"data": [0.1, …], "shape": [n, d]}, …}             or "values"
    {"cat": [[0.1, …], …], …}                                   a list for each example
    {"cat": [0.1, …], …}                                        the width d has to be told

All are read. The values of a class may be a list, an object with the keys "0", "1", … in any order
(a typed array in JSON), or base-64 of little-endian float32.
"""

from __future__ import annotations

import base64
import json
import math
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.errors import InputError, first_line
from pocketknn.builder.knn.exact import unit
from pocketknn.builder.photos.readers import read_file
from pocketknn.builder.system.atomic_file import replacing

from .references import References

_INDEX = re.compile("0|[1-9][0-9]{0,9}")
_LABELS = ("label", "classId", "classIndex", "className")
_VALUES = ("data", "values")
_MOST = 1 << 31  # examples, or values in one
_ROUNDING = 1e-6  # a unit vector's length in float32 is off by less, whatever d


class _Class(NamedTuple):
    """What a file says of a class, unchecked."""

    label: Any
    values: Any
    shape: Any = None


def read(path: Path | str, dim: int | None = None) -> References:
    """References from a data set of ml5.js or TensorFlow.js, the vectors as they stand there.

    The classes have the order that JavaScript gives their keys; within one the rows keep theirs.

    Args:
        path: a JSON file in one of the forms above.
        dim: values of an example, for a file that does not say.

    Raises:
        InputError: the file cannot be read, or is no data set that can be used.
    """
    if dim is not None and dim < 1:
        raise InputError(f"dim must be at least 1, not {dim}")
    try:
        return _references(_classes(_content(Path(path))), dim)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except InputError as error:
        raise InputError(
            f"{path} is no k-NN data set of ml5.js or TensorFlow.js: {error}"
        ) from error


def write(references: References, path: Path | str, *, unit_length: bool = False) -> None:
    """Write a data set that ml5's `KNNClassifier.load` opens, and `read` with every bit of it.

    The rows are put together by class. Ids and paths have no place in it, nor has a class without
    references.

    Args:
        references: with labels.
        path: the file, which is replaced.
        unit_length: scale the vectors to length 1. `addExample` does so, and a page that loads the
            file ranks by the product with the rows as they are: only then is that the cosine.

    Raises:
        InputError: the references have no labels or unusable ones, or the file cannot be written.
    """
    if not references.labels:
        raise InputError("a k-NN data set of ml5.js has classes; these references have no labels")
    vectors = _unit(references.vectors) if unit_length else references.vectors
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
    content = {"dataset": dataset, "tensors": tensors}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    path = Path(path)
    try:
        with replacing(path) as made:
            made.write_text(text, "utf-8", newline="")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def checked_label(label: Any) -> str:  # noqa: ANN401
    """A class's name as text; JavaScript makes its numbers into names as well.

    Raises:
        InputError: it is neither text nor an integer, blank, or not to be written into a file.
    """
    if type(label) is int:
        return str(label)
    if not isinstance(label, str):
        raise InputError(f"a label is {_kind(label)}, not a text")
    if not label.strip():
        raise InputError("a label is empty")
    # Cs: half of a surrogate pair, which JSON can hold and UTF-8 cannot.
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in label):
        raise InputError(f"the label {label[:40]!r} has a control character")
    return label


def key_rank(key: str) -> float:
    """Where a key stands in `Object.keys`: array indices by value, all others behind, as they came.

    ECMA-262, OrdinaryOwnPropertyKeys; array indices end at 2**32 - 2.
    """
    if _INDEX.fullmatch(key) and int(key) < (1 << 32) - 1:
        return int(key)
    return math.inf


def _content(path: Path) -> Any:  # noqa: ANN401
    try:
        return json.loads(read_file(path).decode("utf-8-sig"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise InputError("it is not UTF-8") from error
    except RecursionError as error:
        raise InputError("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise InputError(f"it is not JSON: {first_line(error)}") from error
    except InputError:
        raise
    except ValueError as error:  # Python's own limit
        raise InputError("a number has too many digits") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise InputError(f"the key {twice[:40]!r} is there twice")
    return found


def _classes(content: Any) -> list[_Class]:  # noqa: ANN401
    """The classes of any of the forms, in the order of JavaScript."""
    if isinstance(content, dict):
        if {"dataset", "tensors"} <= set(content):
            return _of_ml5(_members(content["dataset"]), _members(content["tensors"]))
        if "modelTopology" in content:
            raise InputError("it is a network's model.json, which holds no examples")
        found = [_of_entry(key, entry) for key, entry in content.items()]
    elif isinstance(content, list):
        found = [_of_item(item) for item in content]
    else:
        raise InputError(f"it holds {_kind(content)}")
    named = [one._replace(label=checked_label(one.label)) for one in found]
    return sorted(named, key=lambda one: key_rank(one.label))


def _of_ml5(heads: dict[str, Any], tensors: dict[str, Any]) -> list[_Class]:
    if len(heads) != len(tensors):
        raise InputError(f"it has {len(heads)} classes and {len(tensors)} tensors")
    if set(heads) != set(tensors):
        tensors = dict(zip(heads, tensors.values(), strict=True))
    found = []
    for key, head in heads.items():
        if head is None and tensors[key] is None:  # as ml5 writes a number that no class has
            continue
        if not isinstance(head, dict) or "shape" not in head:
            raise InputError(f"the class {key[:40]!r} has no shape")
        label = head.get("label")
        found.append(_Class(key if label is None else label, tensors[key], head["shape"]))
    return found


def _members(group: Any) -> dict[str, Any]:  # noqa: ANN401
    if isinstance(group, list):
        return {str(number): member for number, member in enumerate(group)}
    if isinstance(group, dict):
        return {key: group[key] for key in sorted(group, key=key_rank)}
    raise InputError(f'"dataset" or "tensors" is {_kind(group)}')


def _of_item(item: Any) -> _Class:  # noqa: ANN401
    if isinstance(item, list) and len(item) == 2:
        return _of_entry(*item)
    if isinstance(item, list) and len(item) == 3:
        return _Class(*item)
    if isinstance(item, dict):
        label = next((item[name] for name in _LABELS if name in item), None)
        return _of_entry(label, item)
    raise InputError("a class is not a list [label, values, shape]")


def _of_entry(label: Any, entry: Any) -> _Class:  # noqa: ANN401
    if not isinstance(entry, dict) or "0" in entry:
        return _Class(label, entry)
    for name in _VALUES:
        if name in entry:
            return _Class(label, entry[name], entry.get("shape"))
    raise InputError(f"the class {checked_label(label)[:40]!r} has no values")


def _references(classes: list[_Class], dim: int | None) -> References:
    if not classes:
        raise InputError("it holds no examples")
    tables: dict[str, NDArray[np.float32]] = {}
    for one in classes:
        label = checked_label(one.label)
        if label in tables:
            raise InputError(f"two classes have the label {label[:40]!r}")
        try:
            table = _table(one, dim)
        except InputError as error:
            raise InputError(f"the class {label[:40]!r}: {error}") from error
        wanted = dim or next(iter(tables.values()), table).shape[1]
        if table.shape[1] != wanted:
            raise InputError(
                f"the class {label[:40]!r} has examples of {table.shape[1]} values, not {wanted}"
            )
        tables[label] = table
    labels = [label for label, table in tables.items() for _ in table]
    return References.of(np.concatenate(list(tables.values())), labels, classes=list(tables))


def _table(one: _Class, dim: int | None) -> NDArray[np.float32]:
    """The examples of a class (n, d)."""
    values, shape = one.values, one.shape
    if isinstance(values, list) and values and isinstance(values[0], list):
        if any(not isinstance(row, list) or len(row) != len(values[0]) for row in values):
            raise InputError("its rows differ in length")
        shape = [len(values), len(values[0])] if shape is None else shape
        values = [value for row in values for value in row]
    flat = _flat(values)
    if shape is None:
        if dim is None:
            raise InputError("it has no shape; dim has to say how many values an example has")
        shape = [len(flat) // dim, dim]
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(type(side) is int and 0 < side <= _MOST for side in shape)
    ):
        raise InputError("its shape is not [examples, values], both at least 1")
    if len(flat) != shape[0] * shape[1]:
        raise InputError(f"its shape {shape} does not fit {len(flat)} values")
    return flat.reshape(shape)


def _flat(values: Any) -> NDArray[np.float32]:  # noqa: ANN401
    """The values of a class, one after the other."""
    if isinstance(values, dict):
        try:
            values = [values[str(i)] for i in range(len(values))]
        except KeyError as error:
            raise InputError(f"its values have no number {error}") from error
    if isinstance(values, str):
        try:
            numbers = np.frombuffer(base64.b64decode(values, validate=True), "<f4")
        except ValueError as error:
            raise InputError("its values are a text, but not base-64 of float32") from error
    elif isinstance(values, list):
        for i, value in enumerate(values):
            if type(value) not in (int, float):
                raise InputError(f"value {i} is {_kind(value)}, not a number")
        try:
            with np.errstate(over="ignore"):
                numbers = np.array(values, np.float64).astype(np.float32)
        except OverflowError as error:
            raise InputError("a value is too large for float32") from error
    else:
        raise InputError(f"its values are {_kind(values)}")
    if not np.isfinite(numbers).all():
        bad = int(np.argmin(np.isfinite(numbers)))
        raise InputError(f"value {bad} is NaN, infinite or too large for float32")
    return numbers


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; those that have it keep their last bits."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.where(np.abs(lengths - 1) <= _ROUNDING, vectors, unit(vectors)).astype(np.float32)


def _kind(value: Any) -> str:  # noqa: ANN401
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")
