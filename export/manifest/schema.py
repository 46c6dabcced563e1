"""The parts of a manifest that readers rely on, whichever version wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from pocketknn.builder.choices import growth, room
from pocketknn.builder.choices.heads import HEADS
from pocketknn.builder.choices.metrics import METRICS
from pocketknn.builder.choices.searches import SEARCHES
from pocketknn.builder.spec import CROPS
from pocketknn.export.formats.options import PRECISIONS

SCHEMA = "pocketknn/1"
_LARGEST = 1 << 53  # largest integer that every JSON reader holds exactly
_SIDE = 1 << 14  # pixels; more would not fit into memory
# The search of files that do not record one.
EXACT: dict[str, Any] = {
    "by": "exact",
    "references_precision": "float32",
    "candidates": 0,
    "components": 0,
    "recall": None,
    "queries": 0,
}


class Maybe(NamedTuple):
    """A value of a kind, or null."""

    kind: Any


class Added(NamedTuple):
    """A value of a kind that may be absent: older versions did not write it, or it is optional."""

    kind: Any


class Each(NamedTuple):
    """A list or an object whose members are all of one kind."""

    form: type
    kind: Any


NUMBER = (int, float)
_SHARE = Maybe(NUMBER)
_TEXT = Maybe(str)
_ERRORS = Maybe(Each(dict, NUMBER))  # by target
_FOUND = {"queries": int, "first": NUMBER, "among": NUMBER}
_BIN = dict.fromkeys(("confidence", "right", "low", "high"), NUMBER) | {"answers": int}
_POINT = {"kept": int, "accuracy": _SHARE, "rmse": _ERRORS}
INSIDE: dict[str, Any] = {
    "head": str,
    "k": int,
    "metric": str,
    "vote": _TEXT,
    "temperature": Maybe(NUMBER),
    "projection": Maybe(
        {
            "by": str,
            "size": int,
            "variance": Maybe(NUMBER),
            "whiten": Added(Maybe(NUMBER)),
            "directions": Added(int),
            "without": Maybe({"accuracy": _SHARE, "first_equal": NUMBER, "recall": NUMBER}),
        }
    ),
    "scores_of": str,
    "search": {
        "by": str,
        "references_precision": str,
        "candidates": int,
        "components": int,
        "recall": _SHARE,
        "queries": int,
    },
    "reject": Maybe(
        {
            "threshold": NUMBER,
            "known": _SHARE,
            "known_asked": Added(int),
            "right_kept": Added(_SHARE),
            "left_out_classes": _SHARE,
            "left_out_asked": Added(int),
            "strangers": _SHARE,
            "strangers_asked": int,
            "unprojected": Added(_SHARE),
        }
    ),
    "strangers": Added(
        Maybe(
            {
                "learned": int,
                "held_back": int,
                "strangers": NUMBER,
                "known": _SHARE,
                "threshold_strangers": _SHARE,
                "threshold_known": _SHARE,
            }
        )
    ),
    "targets": Each(list, str),
    "balanced": Maybe(bool),
    "precision": Each(dict, str),
    "seed": int,
    "ios": int,
    **dict.fromkeys(("description", "author", "license", "version"), str),
    "backbone": Maybe(
        {
            "name": str,
            "alpha": Maybe(NUMBER),
            "input_range": str,
            "dim": int,
            "weights": _TEXT,
            "weights_sha256": _TEXT,
            "sha256": str,
            "attribution": Added(_TEXT),
            "why": _TEXT,
        }
    ),
    "input": {
        "name": str,
        "shape": Each(list, int),
        "dtype": str,
        "crop": Added(str),
        "consumers": Added(Each(dict, {"name": str, "crop": str})),
    },
    "outputs": Each(dict, {"shape": Each(list, int), "is": str}),
    "memory": Added(dict.fromkeys(("slots", "width", "classes", "spare"), int) | {"is": str}),
    "labels": Each(list, str),
    "references": {
        "count": int,
        "dim": int,
        "per_label": Each(dict, int),
        "duplicates": int,
        "contradictions": Each(list, [str, str]),
        "leave_one_out": Maybe(
            {
                "accuracy": _SHARE,
                "interval": Added(Maybe([NUMBER, NUMBER])),
                "chance": Added(_SHARE),
                "by_class": Added(_SHARE),
                "per_class": Added(Maybe(Each(dict, [int, int]))),
                "verdict": Added(_TEXT),
                "rmse": _ERRORS,
                "rmse_interval": Added(Maybe(Each(dict, [NUMBER, NUMBER]))),
                "rmse_of_mean": Added(_ERRORS),
                "k": int,
                "queries": int,
                "folds": Added(int),
                "groups": Added(Maybe(int)),
            }
        ),
        "calibration": Added(Maybe({"error": NUMBER, "chance": NUMBER, "bins": Each(list, _BIN)})),
        "figures_of": Added(Maybe(int)),
        "image_search": Added(
            {
                "same_class": Maybe(_FOUND | {"k": int, "chance": NUMBER, "chance_among": NUMBER}),
                "copies": Each(dict, _FOUND),
            }
        ),
        "apart": Added({"photos": int, "gain": NUMBER}),
        "occasions": Added({"count": int, "photos": int, "classes_of_one": Each(list, str)}),
    },
    "budget": Added(int),
    "condensed": Added(
        Maybe(
            {
                "by": str,
                "before": int,
                "kept": int,
                "bytes_each": int,
                "curve": Each(list, _POINT),
            }
        )
    ),
}
BUILT: dict[str, Any] = INSIDE | {"files": Each(dict, {"sha256": str}), "parity": dict}


def check_manifest(manifest: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    """Check that everything readers rely on is present and makes sense.

    Args:
        manifest: a JSON object.
        wanted: `INSIDE` for the manifest in an artefact, `BUILT` for that of a folder.

    Raises:
        TypeError, ValueError, KeyError: something is missing or wrong.
    """
    _check(manifest, wanted, "it")
    search = manifest["search"]["by"]
    for name, table in (
        (manifest["head"], HEADS),
        (manifest["metric"], METRICS),
        (search, SEARCHES),
    ):
        if name not in table:
            raise ValueError(f"it names {name!r:.40}, which is not one of {', '.join(table)}")
    shape, name = manifest["input"]["shape"], manifest["input"]["name"]
    if name == "image":
        if manifest["input"]["crop"] not in CROPS or manifest["backbone"] is None:
            raise ValueError("it does not describe its pictures")
        if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 3 or not 0 < shape[0] <= _SIDE:
            raise ValueError(f"its pictures have the shape {shape}")
    elif len(shape) != 1 or shape[0] < 1:
        raise ValueError(f"its input has the shape {shape}")
    if memory := manifest.get(growth.NAME):
        dim = manifest["references"]["dim"]
        room.check(memory["slots"], memory["spare"] or None, HEADS[manifest["head"]])
        room.check_room(memory["slots"], dim)
        if memory["width"] != dim + 1:
            raise ValueError(f"its memory has a width of {memory['width']}")
    for one in manifest["precision"].values():
        if one not in PRECISIONS:
            raise ValueError(f"a precision is {one!r}")
    if manifest["projection"]:
        needed = "directions" if manifest["projection"]["by"] == "classes" else "whiten"
        _check(manifest["projection"][needed], NUMBER, needed)
    measured = manifest["references"]["leave_one_out"]
    if measured and measured["accuracy"] is measured["rmse"] is None:
        raise ValueError("it has neither an accuracy nor an error")
    for file in manifest["files"] if wanted is BUILT else ():
        if PurePosixPath(file).name != file or "\\" in file or file in ("", ".."):
            raise ValueError(f"it names {file!r}, which is not in its folder")
    for form in manifest["parity"] if wanted is BUILT else ():
        _check(manifest["precision"][form], str, form)


def _check(value: Any, kind: Any, place: str) -> None:  # noqa: ANN401
    """Check that a value is of a kind: one or several types, or one of the forms above."""
    match kind:
        case Maybe() | Added():
            if value is not None or isinstance(kind, Added):
                _check(value, kind.kind, place)
        case Each():
            _check(value, kind.form, place)
            for one in value.values() if isinstance(value, dict) else value:
                _check(one, kind.kind, f"a member of {place}")
        case dict():
            _check(value, (dict,), place)
            for key, of in kind.items():
                if key in value or not isinstance(of, Added):
                    _check(value[key], of, key)
        case list():
            _check(value, (list,), place)
            for one, of in zip(value, kind, strict=True):
                _check(one, of, place)
        case _:
            wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
            if wrong or (isinstance(value, int | float) and not -_LARGEST < value < _LARGEST):
                raise TypeError(f"{place} is {value!r:.40}")


def upgrade(manifest: dict[str, Any]) -> None:
    """Give the manifest of an older version the keys of the current one."""
    manifest.setdefault("search", dict(EXACT))
    manifest.setdefault("temperature", None)
    if "projection" not in manifest:
        pca = manifest.pop("pca")
        # Builds from before whitening do not mention it.
        manifest["projection"] = pca and {"by": "pca", "whiten": 0.0} | pca
    manifest.setdefault("scores_of", "pca" if manifest["projection"] else "embedding")
