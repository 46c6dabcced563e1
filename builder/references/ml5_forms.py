"""The forms that k-NN data sets of ml5.js and TensorFlow.js have as JSON.

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
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any, NamedTuple

from pocketknn.builder.errors import InputError

_INDEX = re.compile("0|[1-9][0-9]{0,9}")
_LABELS = ("label", "classId", "classIndex", "className")
_VALUES = ("data", "values")


class Stored(NamedTuple):
    """What a file says of a class, unchecked."""

    label: Any
    values: Any
    shape: Any = None


def classes_in(content: Any) -> list[Stored]:  # noqa: ANN401
    """The classes of any of the forms, in the order of JavaScript.

    Raises:
        InputError: it is none of them.
    """
    if isinstance(content, dict):
        if {"dataset", "tensors"} <= set(content):
            return _of_ml5(_members(content["dataset"]), _members(content["tensors"]))
        if "modelTopology" in content:
            raise InputError("it is a network's model.json, which holds no examples")
        found = [_of_entry(key, entry) for key, entry in content.items()]
    elif isinstance(content, list):
        found = [_of_item(item) for item in content]
    else:
        raise InputError(f"it holds {kind_of(content)}")
    named = [one._replace(label=checked_label(one.label)) for one in found]
    return sorted(named, key=lambda one: key_rank(one.label))


def _of_ml5(heads: dict[str, Any], tensors: dict[str, Any]) -> list[Stored]:
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
        found.append(Stored(key if label is None else label, tensors[key], head["shape"]))
    return found


def _members(group: Any) -> dict[str, Any]:  # noqa: ANN401
    if isinstance(group, list):
        return {str(number): member for number, member in enumerate(group)}
    if isinstance(group, dict):
        return {key: group[key] for key in sorted(group, key=key_rank)}
    raise InputError(f'"dataset" or "tensors" is {kind_of(group)}')


def _of_item(item: Any) -> Stored:  # noqa: ANN401
    if isinstance(item, list) and len(item) == 2:
        return _of_entry(*item)
    if isinstance(item, list) and len(item) == 3:
        return Stored(*item)
    if isinstance(item, dict):
        label = next((item[name] for name in _LABELS if name in item), None)
        return _of_entry(label, item)
    raise InputError("a class is not a list [label, values, shape]")


def _of_entry(label: Any, entry: Any) -> Stored:  # noqa: ANN401
    if not isinstance(entry, dict) or "0" in entry:
        return Stored(label, entry)
    for name in _VALUES:
        if name in entry:
            return Stored(label, entry[name], entry.get("shape"))
    raise InputError(f"the class {checked_label(label)[:40]!r} has no values")


def checked_label(label: Any) -> str:  # noqa: ANN401
    """A class's name as text; JavaScript makes its numbers into names as well.

    Raises:
        InputError: it is neither text nor an integer, blank, or not to be written into a file.
    """
    if type(label) is int:
        return str(label)
    if not isinstance(label, str):
        raise InputError(f"a label is {kind_of(label)}, not a text")
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


def kind_of(value: Any) -> str:  # noqa: ANN401
    """What a value is, in the words of JSON."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")
