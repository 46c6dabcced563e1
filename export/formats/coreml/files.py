"""The files of a .mlpackage folder, and its model specification."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pocketknn.builder.photos.readers import read_file
from pocketknn.builder.system.untrusted_json import parse_json

from .messages import messages

MODEL, WEIGHTS = "com.apple.CoreML/model.mlmodel", "com.apple.CoreML/weights/weight.bin"
LABEL, LABEL_PROBABILITIES = "classLabel", "classLabelProbs"  # outputs of a classifier
PARTS: Mapping[str, bool] = {  # what a package holds, and whether that is a folder
    "Manifest.json": False,
    "Data": True,
    "Data/com.apple.CoreML": True,
    f"Data/{MODEL}": False,
    "Data/com.apple.CoreML/weights": True,
    f"Data/{WEIGHTS}": False,
}


def root(path: Path) -> Path:
    """The file in a package that its manifest names as the model.

    Raises:
        ValueError: there is no such package.
    """
    try:
        listed = parse_json(read_file(path / "Manifest.json").decode("utf-8"))
        model = listed["itemInfoEntries"][listed["rootModelIdentifier"]]["path"]
        found = path / "Data" / str(model)
        if not found.resolve().is_relative_to((path / "Data").resolve()):
            raise ValueError(f"its Manifest.json names {str(model)!r}, which is not in it")
        return found
    except (KeyError, TypeError, OSError) as error:
        raise ValueError(f"its Manifest.json names no model: {error}") from error


def specification(path: Path) -> Any:  # noqa: ANN401  # the messages have no stubs
    """The message `Model` of a package, https://apple.github.io/coremltools/mlmodel/Format/Model.html.

    Raises:
        ValueError: there is no such package, or its model cannot be read.
    """
    from google.protobuf.message import DecodeError

    try:
        return messages().Model.FromString(read_file(root(path)))
    except (DecodeError, OSError) as error:
        raise ValueError(f"its model cannot be read: {error}") from error
