"""A memory: the examples that a growing model was taught on a device, as JSON.

It is a data set of TensorFlow.js by class name, as in `ml5_forms`, with one more key:

    {"pocketknn": {"backbone": "9f86…", "crop": "center", "names": ["mug", …],
                   "origins": {"mug": ["kitchen 2026-11-29", …], …}, "forgotten": ["bird", …]},
     "mug": {"shape": [21, 1280], "data": "…"}, …}

- The values are embeddings as the model's output `embedding` gave them, base-64 of little-endian
  float32. They depend on the backbone and the crop alone, so a memory stays valid when an app is
  updated with other references, k or metric.
- `backbone` is the hash of the weights by value, as in a build's manifest.
- `names` is the order of the classes: JavaScript puts keys such as "7" before all others.
- `origins` says who taught each example, and when. They are occasions: pictures
  taken with one device on one day resemble each other in light and background too.
- `forgotten` are classes of the app's build whose references were switched off.

TensorFlow.js has no loader for its data sets, and ml5's takes another form, with vectors of unit
length, which `ml5_json.write` makes of a memory's references.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pocketknn.builder.choices.growth import NOTE
from pocketknn.builder.errors import InputError

from . import ml5_json
from .columns import ids_of
from .ml5_forms import checked_label, kind_of, note_of
from .references import References


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The examples that a model was taught.

    Attributes:
        references: the examples; the hash of an example's values takes the place of a picture's
            hash, so that the same example is recognised wherever it comes from.
        backbone: hash of the backbone's weights by value.
        crop: how a picture became a square.
        forgotten: classes of the build that were switched off.
    """

    references: References
    backbone: str
    crop: str
    forgotten: tuple[str, ...]

    def like(self, others: References) -> References:
        """The examples as references that can be merged with others.

        Args:
            others: references made with the memory's backbone and crop; if they have no labels, the
                examples lose theirs.

        Raises:
            InputError: the others were made with another backbone or crop, or with an unknown one.
        """
        made = others.provenance
        if made is None:
            raise InputError("the backbone of the references is unknown", "unknown-backbone")
        if self.backbone != made.sha256:
            raise InputError(
                f"its backbone is {self.backbone[:12]}, not {made.sha256[:12]} ({made.backbone})",
                "other-backbone",
            )
        if self.crop != made.crop:
            raise InputError(f"its crop is {self.crop!r}, not {made.crop!r}", "other-crop")
        found = replace(self.references, provenance=made)
        if found.dim != others.dim:
            raise InputError(
                f"its examples have {found.dim} values, not {others.dim}", "width-mismatch"
            )
        if not others.labels:
            found = replace(found, labels=(), label_ids=found.label_ids[:0])
        return found


def read(path: Path | str) -> Memory:
    """Read a memory that an app or `write` saved.

    An example's path is FILE#CLASS/NUMBER, and its occasion is its origin.

    Raises:
        InputError: it cannot be read, is not a memory, or holds no examples.
    """
    try:
        content = ml5_json.content_of(path)
        note = note_of(content)
        if note is None:
            raise InputError(
                f"it does not say which backbone made its vectors: it has no key {NOTE!r}",
                "unknown-backbone",
            )
        forgotten = tuple(map(checked_label, _texts(note, "forgotten")))
        try:
            classes = {key: value for key, value in content.items() if key != NOTE}
            found = ml5_json.references_of(classes, None)
        except InputError as error:
            if error.code != "no-examples":
                raise
            raise InputError(
                f"it holds no examples{_and_forgets(forgotten)}", error.code
            ) from error
        return Memory(
            references=_with_origins(_ordered(found, note), note, _name(path)),
            backbone=_text(note, "backbone"),
            crop=_text(note, "crop"),
            forgotten=forgotten,
        )
    except InputError as error:
        raise _of(path, error) from error


def write(references: References, path: Path | str, *, forgotten: Sequence[str] = ()) -> None:
    """Write references as a memory, which an app with the same backbone and crop can load.

    Args:
        references: with labels and a known backbone; ids and paths are lost.
        path: the file, which is replaced.
        forgotten: classes to switch off.

    Raises:
        InputError: the references have no labels or their backbone is unknown, a class is
            named `pocketknn`, which a memory reserves, or the file cannot be written.
    """
    if not references.labels:
        raise InputError("a memory needs labels; these references have none", "no-labels")
    if references.provenance is None:
        raise InputError("a memory needs references with a known backbone", "unknown-backbone")
    if NOTE in references.labels:
        raise InputError(f"a memory cannot hold a class {NOTE!r}; rename it", "reserved-class")
    rows = {
        checked_label(label): [row for row, one in enumerate(references.label_ids) if one == number]
        for number, label in enumerate(references.labels)
        if references.counts[label]
    }
    note = {
        "backbone": references.provenance.sha256,
        "crop": references.provenance.crop,
        "names": list(rows),
        "origins": {
            label: [references.occasions[row] for row in chosen] for label, chosen in rows.items()
        },
        "forgotten": list(forgotten),
    }
    examples = {label: _class(references.vectors[chosen]) for label, chosen in rows.items()}
    ml5_json.write_content(path, {NOTE: note} | examples)


def _class(vectors: NDArray[Any]) -> dict[str, Any]:
    """The examples (n, d) of a class, as JSON."""
    data = base64.b64encode(vectors.astype("<f4").tobytes()).decode("ascii")
    return {"shape": list(vectors.shape), "data": data}


def _of(path: Path | str, error: InputError) -> InputError:
    if error.code in ml5_json.UNREAD:
        return error
    return InputError(f"{path} cannot be used as a memory: {error}", error.code)


def _ordered(found: References, note: dict[str, Any]) -> References:
    """The references with their classes in the order of the note's `names`, then any others."""
    if NOTE in found.labels:
        raise InputError(f"a class has the name {NOTE!r}", "reserved-class")
    named = [one for one in dict.fromkeys(_texts(note, "names")) if one in found.labels]
    return found.in_order(list(dict.fromkeys([*named, *found.labels])))


def _with_origins(found: References, note: dict[str, Any], file: str) -> References:
    origins = note.get("origins", {})
    if not isinstance(origins, dict):
        raise InputError(f"its origins are {kind_of(origins)}, not an object", "bad-note")
    counts = found.counts
    said = {label: _texts(origins, label) or [""] * counts[label] for label in found.labels}
    for label, texts in said.items():
        if len(texts) != counts[label]:
            raise InputError(
                f"the class {label[:40]!r} has {counts[label]} examples and {len(texts)} origins",
                "length-mismatch",
            )
    numbers: Counter[str] = Counter()
    paths, occasions = [], []
    for label in map(found.label_of, range(len(found))):
        paths.append(f"{file}#{label}/{numbers[label]}")
        occasions.append(said[label][numbers[label]])
        numbers[label] += 1
    hashes = [hashlib.sha256(row.astype("<f4").tobytes()).hexdigest() for row in found.vectors]
    return replace(
        found,
        ids=tuple(ids_of(hashes)),
        paths=tuple(paths),
        sha256=tuple(hashes),
        occasions=tuple(occasions),
    )


def _and_forgets(names: Sequence[str]) -> str:
    return f", only forgotten classes: {', '.join(map(repr, names))}" if names else ""


def _name(path: Path | str) -> str:
    """A file's name as UTF-8, which tables need."""
    return Path(path).name.encode("utf-8", "replace").decode("utf-8")


def _text(note: dict[str, Any], key: str) -> str:
    value = note.get(key)
    if not isinstance(value, str) or not value:
        raise InputError(f"its {key} is {kind_of(value)}, not a name", "bad-note")
    return value


def _texts(note: dict[str, Any], key: str) -> list[str]:
    values = note.get(key, [])
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise InputError(f"its {key[:40]!r} is not a list of names", "bad-note")
    return [one and checked_label(one) for one in values]
