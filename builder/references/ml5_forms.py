"""The JSON forms of k-NN data sets of ml5.js and TensorFlow.js.

ml5's `KNNClassifier.save` writes (ml5-library up to 0.12, `src/KNNClassifier/index.js`)

    {"dataset": {"0": {"shape": [n, d], "label": "cat", …}, …}, "tensors": [{"0": 0.1, …}, …]}

where a class's tensor has the position of its key in JavaScript's `Object.keys`.
`KNNClassifier` of @tensorflow-models/knn-classifier has no `save`. Its users write the result of
`getClassifierDataset` (github.com/tensorflow/tfjs, issue 633) as one of

    [["cat", [0.1, …], [n, d]], …]                              the most common
    [{"classId": 0, "data": [0.1, …], "shape": [n, d]}, …]      or "label", "classIndex"
    {"cat": {"data": [0.1, …], "shape": [n, d]}, …}             or "values"
    {"cat": [[0.1, …], …], …}                                   a list for each example
    {"cat": [0.1, …], …}                                        the width d must be given

The values of a class may be a list, an object with the keys "0", "1", … in any order
(a typed array in JSON), or base-64 of little-endian float32.

A file with the key `NOTE` and no values under it is a memory, which `memory_json` reads.
"""

from __future__ import annotations

import base64
import math
import re
import unicodedata
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocketknn.builder.choices.growth import NOTE
from pocketknn.builder.errors import InputError
from pocketknn.builder.wording import counted

_INDEX = re.compile("0|[1-9][0-9]{0,9}")
_LABELS = ("label", "classId", "classIndex", "className")
_VALUES = ("data", "values")
_MOST = 1 << 31  # maximum examples, or values per example


class Stored(NamedTuple):
    """A class as read from a file, unchecked."""

    label: Any
    values: Any
    shape: Any = None


def classes_in(content: Any) -> list[Stored]:  # noqa: ANN401
    """The classes of any of the forms, in JavaScript's key order.

    Raises:
        InputError: the content has none of these forms.
    """
    if note_of(content) is not None:
        raise InputError(
            "it is the memory of a growing model; use pocketknn refs import FILE --like OUT",
            "is-memory",
        )
    if isinstance(content, dict):
        if {"dataset", "tensors"} <= set(content):
            return _of_ml5(_members(content["dataset"]), _members(content["tensors"]))
        if "modelTopology" in content:
            raise InputError(
                "it is a network's model.json, which holds no examples", "not-a-data-set"
            )
        found = [_of_entry(key, entry) for key, entry in content.items()]
    elif isinstance(content, list):
        found = [_of_item(item) for item in content]
    else:
        raise InputError(f"it holds {kind_of(content)}", "not-a-data-set")
    named = [one._replace(label=checked_label(one.label)) for one in found]
    return sorted(named, key=lambda one: key_rank(one.label))


def note_of(content: Any) -> dict[str, Any] | None:  # noqa: ANN401
    """The value of the key `NOTE` in a memory; None if the content is not a memory."""
    noted = content.get(NOTE) if isinstance(content, dict) else None
    is_class = isinstance(noted, dict) and not {"0", *_VALUES}.isdisjoint(noted)
    return noted if isinstance(noted, dict) and not is_class else None


def _of_ml5(heads: dict[str, Any], tensors: dict[str, Any]) -> list[Stored]:
    if len(heads) != len(tensors):
        raise InputError(
            f"it has {counted(len(heads), 'class', 'classes')} and"
            f" {counted(len(tensors), 'tensor')}",
            "tensor-count-mismatch",
        )
    if set(heads) != set(tensors):
        tensors = dict(zip(heads, tensors.values(), strict=True))
    found = []
    for key, head in heads.items():
        if head is None and tensors[key] is None:  # ml5 writes this for an unused class number
            continue
        if not isinstance(head, dict) or "shape" not in head:
            raise InputError(f"the class {key[:40]!r} has no shape", "no-shape")
        label = head.get("label")
        found.append(Stored(key if label is None else label, tensors[key], head["shape"]))
    return found


def _members(group: Any) -> dict[str, Any]:  # noqa: ANN401
    if isinstance(group, list):
        return {str(number): member for number, member in enumerate(group)}
    if isinstance(group, dict):
        return {key: group[key] for key in sorted(group, key=key_rank)}
    raise InputError(f'"dataset" or "tensors" is {kind_of(group)}', "not-a-data-set")


def _of_item(item: Any) -> Stored:  # noqa: ANN401
    if isinstance(item, list) and len(item) == 2:
        return _of_entry(*item)
    if isinstance(item, list) and len(item) == 3:
        return Stored(*item)
    if isinstance(item, dict):
        label = next((item[name] for name in _LABELS if name in item), None)
        return _of_entry(label, item)
    raise InputError("a class is not a list [label, values, shape]", "not-a-data-set")


def _of_entry(label: Any, entry: Any) -> Stored:  # noqa: ANN401
    if not isinstance(entry, dict) or "0" in entry:
        return Stored(label, entry)
    for name in _VALUES:
        if name in entry:
            return Stored(label, entry[name], entry.get("shape"))
    raise InputError(f"the class {checked_label(label)[:40]!r} has no values", "no-values")


def checked_label(label: Any) -> str:  # noqa: ANN401
    """A class name as text; an integer becomes its decimal name, as in JavaScript.

    Raises:
        InputError: neither text nor an integer, blank, or with control characters.
    """
    if type(label) is int:
        return str(label)
    if not isinstance(label, str):
        raise InputError(f"a label is {kind_of(label)}, not a string", "label-not-a-text")
    if not label.strip():
        raise InputError("a label is empty", "empty-label")
    # Cs: half of a surrogate pair, which JSON can hold and UTF-8 cannot.
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in label):
        raise InputError(f"the label {label[:40]!r} has a control character", "bad-class-name")
    return label


def key_rank(key: str) -> float:
    """Sort key for `Object.keys` order: array indices by value, then the rest in insertion order.

    ECMA-262, OrdinaryOwnPropertyKeys; array indices end at 2**32 - 2.
    """
    if _INDEX.fullmatch(key) and int(key) < (1 << 32) - 1:
        return int(key)
    return math.inf


def kind_of(value: Any) -> str:  # noqa: ANN401
    """The JSON type of a value, for messages."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")


def table_of(one: Stored, dim: int | None) -> NDArray[np.float32]:
    """The examples of a class (n, d).

    Args:
        one: the class.
        dim: values per example, for a file without shapes.

    Raises:
        InputError: not finite float32 numbers, or not matching their shape.
    """
    values, shape = one.values, one.shape
    if isinstance(values, list) and values and isinstance(values[0], list):
        if any(not isinstance(row, list) or len(row) != len(values[0]) for row in values):
            raise InputError("its rows differ in length", "rows-differ-in-length")
        shape = [len(values), len(values[0])] if shape is None else shape
        values = [value for row in values for value in row]
    flat = _flat(values)
    if shape is None:
        if dim is None:
            raise InputError(
                "it has no shape; give the number of values per example as dim", "no-shape"
            )
        shape = [len(flat) // dim, dim]
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(type(side) is int and 0 < side <= _MOST for side in shape)
    ):
        raise InputError("its shape is not [examples, values], both at least 1", "bad-shape")
    if len(flat) != shape[0] * shape[1]:
        raise InputError(f"its shape {shape} does not fit {len(flat)} values", "shape-mismatch")
    return flat.reshape(shape)


def _flat(values: Any) -> NDArray[np.float32]:  # noqa: ANN401
    """The values of a class, one after the other."""
    if isinstance(values, dict):
        try:
            values = [values[str(i)] for i in range(len(values))]
        except KeyError as error:
            raise InputError(f"its values have no key {error}", "missing-value") from error
    if isinstance(values, str):
        try:
            numbers = np.frombuffer(base64.b64decode(values, validate=True), "<f4")
        except ValueError as error:
            raise InputError(
                "its values are a string, but not float32 in base64", "not-base64"
            ) from error
    elif isinstance(values, list):
        for i, value in enumerate(values):
            if type(value) not in (int, float):
                raise InputError(f"value {i} is {kind_of(value)}, not a number", "not-a-number")
        try:
            with np.errstate(over="ignore"):
                numbers = np.array(values, np.float64).astype(np.float32)
        except OverflowError as error:
            raise InputError("a value is too large for float32", "value-too-large") from error
    else:
        raise InputError(f"its values are {kind_of(values)}", "not-a-number")
    if not np.isfinite(numbers).all():
        bad = int(np.argmin(np.isfinite(numbers)))
        raise InputError(
            f"value {bad} is NaN, infinite or too large for float32", "value-not-finite"
        )
    return numbers
